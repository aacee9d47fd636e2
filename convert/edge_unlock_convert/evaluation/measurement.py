"""A package of anybody on speech of anybody, beside other encoders."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.package import ModelPackage
from edge_unlock_convert.evaluation.breakdown import Group, groups, worst
from edge_unlock_convert.evaluation.cache import Cache
from edge_unlock_convert.evaluation.design import Design
from edge_unlock_convert.evaluation.extraction import Workers, extract
from edge_unlock_convert.evaluation.figures import Figures, measure
from edge_unlock_convert.evaluation.listening import WHOLE, System, Voices
from edge_unlock_convert.evaluation.scores import device_scores, plain_scores
from edge_unlock_convert.evaluation.tally import Scored
from edge_unlock_convert.progress import Progress
from edge_unlock_convert.scoring.metrics import frr_at_far
from edge_unlock_convert.scoring.trials import COSINE

COMMON_FAR = 1e-2
"""Of all trials together: at its threshold groups are compared."""
COMMON = "common"
CUT = "test cut to"
Stage = Callable[[str, int | None], AbstractContextManager[Progress]]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of an encoder, and how its scores were made."""

    system: str
    scoring: str
    figures: Figures


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found. ``refused`` recordings the device would have asked to say again.

    ``subject`` says what was measured on what.
    """

    recordings: int
    refused: int
    rows: list[Row]
    groups: list[Group]
    worst: Group | None
    subject: dict[str, str] = {}

    def to_json(self) -> bytes:
        """The result for a file or another program."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


class Measurement(NamedTuple):
    """The result, and the scored trials of each row of it, for pictures."""

    result: Result
    scored: list[Scored]

    def about(self, subject: dict[str, str]) -> "Measurement":
        """The same, with what was measured in words."""
        return self._replace(result=msgspec.structs.replace(self.result, subject=subject))


class Means(NamedTuple):
    """What the work is done with: ``draws`` of speakers for intervals, ``cuts_s`` of tests."""

    cache: Cache
    workers: Workers
    stage: Stage
    draws: int
    cuts_s: Sequence[float] = ()


def evaluate(
    package: ModelPackage, systems: Sequence[System], design: Design, means: Means
) -> Measurement:
    """Measure ``systems``, of which the first is the package as the device runs it.

    Raises ``SpeechError`` for what is not audio, or has no embedding.
    """
    voices = _hear(systems[0], design, means)
    device = device_scores(package, design, voices.embeddings, voices)
    counted = device.only(design.apart)
    every = [(systems[0].name, _device_scoring(package), counted)]
    for number, system in enumerate(systems):
        embeddings = (voices if number == 0 else _hear(system, design, means)).embeddings
        plain = plain_scores(design.only(design.apart), embeddings, COSINE)
        every.append((system.name, "cosine", plain))
    rows = []
    for name, scoring, scored in every:
        with means.stage(f"intervals: {name}, {scoring}", None):
            figures = measure(scored, means.draws)
        rows.append(Row(system=name, scoring=scoring, figures=figures))
    threshold = frr_at_far(*counted.trials.split(), COMMON_FAR).threshold
    with means.stage("groups", None):
        found = groups(design, _at(device, threshold), voices, means.draws)
    for cut_s in means.cuts_s:
        long = voices.duration_s >= cut_s
        tested = _hear(systems[0], design, means, np.where(long, cut_s, WHOLE))
        cut = _at(device_scores(package, design, voices.embeddings, tested), threshold)
        found += _cut(f"{cut_s:g} s", cut.only(design.apart & long[design.test]), means.draws)
    result = Result(
        recordings=len(design.recordings),
        refused=int(voices.refused.sum()),
        rows=rows,
        groups=found,
        worst=worst(found),
    )
    return Measurement(result, [scored for _, _, scored in every])


def _hear(
    system: System, design: Design, means: Means, cuts_s: NDArray[np.float64] | None = None
) -> Voices:
    """All recordings (R,), as they are or cut to so many seconds each."""
    cuts = np.full(len(design.recordings), WHOLE) if cuts_s is None else cuts_s
    recordings = [
        (one.path, cut) for one, cut in zip(design.recordings, cuts.tolist(), strict=True)
    ]
    title = f"hearing: {system.name}" + ("" if cuts_s is None else f", {cuts.max():g} s")
    with means.stage(title, len(recordings)) as progress:
        return Voices.of(extract(system, recordings, means.cache, means.workers, progress))


def _device_scoring(package: ModelPackage) -> str:
    manifest = package.manifest
    if manifest.calibration is not None:
        return "likelihood ratio"
    return "set against cohort" if manifest.closest_speakers else "mean removed"


def _at(scored: Scored, threshold: float) -> Scored:
    """The trials as they are decided at one threshold."""
    return scored._replace(accepted={COMMON: scored.trials.scores >= threshold}, judged=None)


def _cut(name: str, scored: Scored, draws: int) -> list[Group]:
    """The group of what was cut; none where nothing was long enough."""
    try:
        return [Group(by=CUT, name=name, figures=measure(scored, draws, brief=True))]
    except ValueError:
        return []
