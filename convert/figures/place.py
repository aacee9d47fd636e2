"""What `edge-unlock calibrate` gains at places that the model does not know, and at others.

    python convert/figures/place.py PACKAGE CHECKPOINT MANIFEST [--corpus speechocean762]

Five people of a corpus are enrolled with three utterances each; others of it are the radio, three
utterances of each; the rest are strangers. All of it goes through the device's own code. A place
is unknown when nobody of the corpus is in the cohort. Told is what `calibrate` says of itself.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from edge_unlock.encoder.calibration import Quality
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.encoder.similarity import unit
from edge_unlock.errors import EdgeUnlockError
from edge_unlock.scoring.place import Utterance, survey
from edge_unlock.scoring.scorer import Scorer, accepts
from edge_unlock.vault import Template
from edge_unlock_convert.corpus import read_corpus
from edge_unlock_convert.packaging import ship
from edge_unlock_convert.scoring import thresholds
from edge_unlock_convert.training.recipe import Recipe

OWNERS, ENROLLED, OF_EACH = 5, 3, 3
NEIGHBOURS = (3, 10, 20, 30)
LEAST_STRANGERS = 6


class Rates(NamedTuple):
    """False accepts and false rejects, in [0, 1]."""

    false_accepts: float
    false_rejects: float


class People:
    """Who speaks in a corpus: utterances (n,) by speaker, in an order of chance."""

    def __init__(self, spoken: thresholds.Spoken, seed: int) -> None:
        generator = np.random.default_rng(seed)
        qualities = zip(spoken.seconds, np.linalg.norm(spoken.embeddings, axis=1), strict=True)
        said = [
            Utterance(row, Quality(*quality))
            for row, quality in zip(unit(spoken.embeddings), qualities, strict=True)
        ]
        by_speaker = {
            name: [said[number] for number in generator.permutation(np.flatnonzero(found))]
            for name in np.unique(spoken.speakers)
            for found in [spoken.speakers == name]
        }
        names = generator.permutation(sorted(by_speaker))
        able = [name for name in names if len(by_speaker[name]) > ENROLLED][:OWNERS]
        self.owners = [by_speaker[name] for name in able]
        self.others = [by_speaker[name] for name in names if name not in able]

    @property
    def templates(self) -> list[Template]:
        """Of the owners."""
        return [
            Template(str(number), np.stack([one.embedding for one in said[:ENROLLED]]), "", 1, None)
            for number, said in enumerate(self.owners)
        ]


def rates(scorer: Scorer, people: People, strangers: Sequence[Sequence[Utterance]]) -> Rates:
    """What a scorer decides of owners, and of those who are not."""
    templates = [scorer.template(one.embeddings) for one in people.templates]

    def accepted(template: int, said: Utterance) -> bool:
        score = scorer.score(templates[template], said.embedding)
        return accepts(score, scorer.threshold(quality=said.quality))

    mine = [
        accepted(number, one)
        for number, said in enumerate(people.owners)
        for one in said[ENROLLED:]
    ]
    theirs = [
        accepted(number, one)
        for number in range(len(templates))
        for said in strangers
        for one in said[: 2 * OF_EACH]
    ]
    return Rates(float(np.mean(theirs)), 1 - float(np.mean(mine)))


def row(scorer: Scorer, spoken: thresholds.Spoken, neighbours: int, draws: int) -> str | None:
    """A row of the table; None where too few people speak."""
    before, after, told = [], [], []
    for seed in range(draws):
        people = People(spoken, seed)
        radio, strangers = people.others[:neighbours], people.others[neighbours:]
        if len(people.owners) < OWNERS or len(strangers) < LEAST_STRANGERS:
            return None
        heard = [one for said in radio for one in said[:OF_EACH]]
        found = survey(scorer, people.templates, heard)
        before.append(rates(scorer, people, strangers))
        after.append(rates(scorer.placed(found.voices, found.shift), people, strangers))
        told.append((found.accepted.rate, *found.accepted.interval, found.rejected.rate))
    cells = [
        f"{_mean(before, 0)} -> {_mean(after, 0)}",
        f"{_mean(before, 1)} -> {_mean(after, 1)}",
        f"{_mean(told, 0)} ({_mean(told, 1)} to {_mean(told, 2)}); {_mean(told, 3)}",
    ]
    return " | ".join(cells)


def _mean(found: Sequence[tuple[float, ...]], column: int) -> str:
    """In percent, with the interval that draws differ in (5% to 95%) where it is of decisions."""
    values = 100 * np.array([one[column] for one in found])
    if not isinstance(found[0], Rates):
        return f"{values.mean():.1f}"
    low, high = np.quantile(values, (0.05, 0.95))
    return f"{values.mean():.1f} ({low:.1f} to {high:.1f})"


def main(source: Path, checkpoint: Path, manifest: Path, corpus: str, draws: int) -> None:
    """Print the table."""
    package = ModelPackage.load(source)
    recipe = Recipe.load(checkpoint / "recipe.toml")
    trained = ship.Parts.read(manifest, recipe).trained
    rate_hz = package.manifest.features.sample_rate_hz
    others = ship.one_piece_a_speaker(trained, ship.COHORT_SPEAKERS, rate_hz, recipe.seed + 1)
    if package.cohort is None or len(package.cohort) != len(others):
        raise click.UsageError("the cohort of the package is not of this speech")
    unknown = ship.elsewhere(package.cohort, np.array([name for name, _ in others]), corpus)
    utterances = [one for one in read_corpus(manifest, "eval") if one.corpus == corpus]
    spoken = next(iter(thresholds.hear(thresholds.Listener.of(package), utterances)))
    print("| place | other voices | FAR % | FRR % | told: FAR %, 95%; FRR % |")
    print("| --- | --- | --- | --- | --- |")
    for place, cohort in (("unknown", unknown), ("known", package.cohort)):
        scorer = Scorer(package._replace(cohort=cohort))
        for neighbours in NEIGHBOURS:
            cells = row(scorer, spoken, neighbours, draws)
            if cells is not None:
                print(f"| {corpus}, {place} | {neighbours} | {cells} |", flush=True)


@click.command(help=__doc__)
@click.argument("package", type=click.Path(path_type=Path, exists=True))
@click.argument("checkpoint", type=click.Path(path_type=Path, exists=True))
@click.argument("manifest", type=click.Path(path_type=Path, exists=True))
@click.option("--corpus", default="speechocean762", show_default=True)
@click.option("--draws", default=10, show_default=True, help="Choices of owners and neighbours.")
def command(  # noqa: D103
    package: Path, checkpoint: Path, manifest: Path, corpus: str, draws: int
) -> None:
    try:
        main(package, checkpoint, manifest, corpus, draws)
    except EdgeUnlockError as error:
        sys.exit(f"error: {error}\nhint: {error.hint}")


if __name__ == "__main__":
    command()
