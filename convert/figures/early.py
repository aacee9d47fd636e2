"""What `listen --early` does to the error rates, and how much sooner it opens.

    python convert/figures/early.py MANIFEST [--corpus speechocean762]

Each person of a corpus is enrolled with three utterances; the others, and everybody else's, are
heard as a microphone delivers them, looked at while they are spoken, and judged at their end. The
rates are those of a claimed identity, at the package's false-accept rate and at a tenth of it.
"""

import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from edge_unlock.audio import File
from edge_unlock.encoder.calibration import Quality
from edge_unlock.encoder.encoder import Embedding, Encoder
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.errors import EdgeUnlockError
from edge_unlock.lock.hearing import Heard, Hearing
from edge_unlock.scoring.band import Band
from edge_unlock.scoring.scorer import Scorer, accepts, rate_name
from edge_unlock.segmentation.quality import VERIFY_LIMITS, speech_seconds
from edge_unlock.segmentation.segment import Segmenter
from edge_unlock_convert.corpus import read_corpus

ENROLLED = 3
MOST_UTTERANCES = 6
HANGOVER_S = 0.5


class Look(NamedTuple):
    """What can be judged of an utterance at one moment; ``spoken_s`` of it were heard."""

    embedding: Embedding
    seconds: float
    spoken_s: float


def looks(encoder: Encoder, segmenter: Segmenter, path: Path) -> list[Look]:
    """The looks at the first utterance of a recording; the last one is at its end."""
    found: list[Look] = []
    with File(path) as source:
        for heard in Hearing(source, segmenter, encoder, early=True).steps():
            for one in heard:
                look = _look(one)
                if look is not None:
                    found.append(look)
                if not one.is_open:
                    return found if look is not None else []
    return []


def _look(heard: Heard) -> Look | None:
    if VERIFY_LIMITS.fault_of([heard.segment]) or heard.embedding is None:
        return None
    seconds = speech_seconds([heard.segment])
    return Look(heard.embedding, round(seconds, 2), seconds + (0 if heard.is_open else HANGOVER_S))


class Judged(NamedTuple):
    """Whether an utterance is accepted: at its end, or at any look; and after how much of it."""

    at_end: bool
    early: bool
    sooner_s: float


def judge(scorer: Scorer, template: np.ndarray, said: list[Look]) -> Judged:
    """Decide as ``Gatekeeper.glance`` and ``judge`` do."""
    end_s = said[-1].spoken_s
    for look in said:
        quality = Quality(look.seconds, round(look.embedding.magnitude, 3))
        score = scorer.score(template, look.embedding.direction)
        threshold = scorer.threshold(quality=quality, enrolled=ENROLLED)
        accepted = accepts(score, threshold)
        if look is said[-1]:
            return Judged(accepted, accepted, 0.0)
        far = scorer.false_accept_rate(score, quality=quality, enrolled=ENROLLED)
        rate = scorer.false_accept_rate(threshold, quality=quality, enrolled=ENROLLED)
        if Band.of(score, threshold, accepted=accepted, far=far, rate=rate) is Band.CLEAR:
            return Judged(judge(scorer, template, said[-1:]).at_end, True, end_s - look.spoken_s)
    raise AssertionError("there is a last look")


def main(manifest: Path, corpus: str) -> None:
    """Print the table."""
    package = ModelPackage.load()
    encoder, segmenter = Encoder(package), Segmenter()
    people: dict[str, list[list[Look]]] = defaultdict(list)
    for one in read_corpus(manifest, "eval"):
        if one.corpus == corpus and len(people[one.speaker]) < ENROLLED + MOST_UTTERANCES:
            said = looks(encoder, segmenter, one.path)
            if said:
                people[one.speaker].append(said)
    able = {name: said for name, said in people.items() if len(said) > ENROLLED}
    print(f"{corpus}: {len(able)} people")
    print("| rate | FAR %, at the end | FAR %, early | FRR % | FRR %, early | early; sooner, s |")
    print("| --- | --- | --- | --- | --- | --- |")
    rate = Scorer(package).rate()
    for each in (rate, rate / 10):
        scorer = Scorer(package, rate_name(each))
        mine: list[Judged] = []
        theirs: list[Judged] = []
        for name, said in able.items():
            enrolled = np.stack([looked[-1].embedding.direction for looked in said[:ENROLLED]])
            template = scorer.template(enrolled)
            mine += [judge(scorer, template, one) for one in said[ENROLLED:]]
            theirs += [
                judge(scorer, template, one)
                for other, others in able.items()
                if other != name
                for one in others[ENROLLED:]
            ]
        sooner = [one.sooner_s for one in mine if one.sooner_s > 0]
        cells = [
            f"{each:g}",
            f"{100 * np.mean([one.at_end for one in theirs]):.2f}",
            f"{100 * np.mean([one.early for one in theirs]):.2f}",
            f"{100 * np.mean([not one.at_end for one in mine]):.1f}",
            f"{100 * np.mean([not one.early for one in mine]):.1f}",
            f"{len(sooner) / len(mine):.0%}; {np.median(sooner) if sooner else 0:.1f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


@click.command(help=__doc__)
@click.argument("manifest", type=click.Path(path_type=Path, exists=True))
@click.option("--corpus", default="speechocean762", show_default=True)
def command(manifest: Path, corpus: str) -> None:  # noqa: D103
    try:
        main(manifest, corpus)
    except EdgeUnlockError as error:
        sys.exit(f"error: {error}\nhint: {error.hint}")


if __name__ == "__main__":
    command()
