"""The strength of evidence of questioned recordings, with the validation in their conditions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.features import Float32
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.encoder.similarity import Similarity, unit
from edge_unlock_convert.errors import SpeechError
from edge_unlock_convert.evaluation.design import all_pairs
from edge_unlock_convert.evaluation.extraction import extract
from edge_unlock_convert.evaluation.listening import WHOLE, System, Voices
from edge_unlock_convert.evaluation.measurement import Means
from edge_unlock_convert.evaluation.scores import trials_of
from edge_unlock_convert.forensic.case import Case, Recording
from edge_unlock_convert.forensic.condition import (
    FEWEST_SPEAKERS,
    Condition,
    matching,
    together,
)
from edge_unlock_convert.forensic.limits import Range, outside, ranges
from edge_unlock_convert.forensic.validation import Validation, validate
from edge_unlock_convert.scoring.metrics import Floats


class Validated(NamedTuple):
    """A condition, what the population shows in it, and what its recordings there are like.

    ``speakers`` make trials of the same speaker; ``recordings`` match the condition.
    """

    condition: Condition
    validation: Validation
    speakers: int
    recordings: int
    tested: dict[str, Range | None]
    enrolled: dict[str, Range | None]


class Compared(NamedTuple):
    """One comparison with the known speaker, of questioned recordings by number.

    ``llr`` is a natural-log likelihood ratio as the calibration has it, with its 95% interval.
    """

    questioned: tuple[int, ...]
    score: float
    llr: float
    interval: tuple[float, float]
    validated: Validated

    @property
    def reported(self) -> float:
        """The likelihood ratio, no stronger than the validation supports."""
        return self.validated.validation.bounds.hold(self.llr)

    @property
    def is_held(self) -> bool:
        """Whether it would have been stronger."""
        return self.reported != self.llr


class Comparison(NamedTuple):
    """All comparisons, of single recordings and then of all together; what was heard.

    ``warnings`` say where a recording lies outside of what was validated; ``missing`` why all
    were not compared together, where they were not.
    """

    case: Case
    compared: list[Compared]
    questioned: Voices
    known: Voices
    warnings: list[str]
    missing: str


class Comparer:
    """Compares the recordings of a case, of each at most ``cut_s`` seconds in its middle."""

    def __init__(
        self, package: ModelPackage, case: Case, cut_s: float | None, means: Means
    ) -> None:
        self._system = System(package.manifest.name, package)
        self._similarity: Similarity = package.similarity
        self._case = case
        self._cut_s = cut_s
        self._means = means

    def compare(self) -> Comparison:
        """Raises ``SpeechError`` where the population does not match, or a voice is not heard.

        Raises ``ConversionError`` where the population does not tell voices apart.
        """
        case = self._case
        seconds = [self._seconds(one) for one in case.questioned]
        known_s = [self._seconds(one) for one in case.known]
        single = [Condition.of([one], known_s) for one in seconds]
        # all that can be refused is, before anything is heard
        fits = {one: matching(one, case.population, case.others) for one in single}
        joint, missing = None, ""
        if len(seconds) > 1:
            joint = Condition.of(seconds, known_s)
            try:
                fits[joint] = matching(joint, case.population, case.others)
            except SpeechError as error:
                joint, missing = None, str(error)
        cut_s = WHOLE if self._cut_s is None else self._cut_s
        known = self._hear("known", case.known, cut_s)
        questioned = self._hear("questioned", case.questioned, cut_s)
        scores = self._scores(known, questioned)
        validated = {one: self._validated(one, rows) for one, rows in fits.items()}
        compared = [
            self._compared((number,), scores[[number]], validated[one])
            for number, one in enumerate(single)
        ]
        if joint is not None:
            every = tuple(range(len(seconds)))
            compared.append(self._compared(every, scores, validated[joint]))
        warnings = [
            text
            for number, one in enumerate(case.questioned)
            for text in outside(
                one, number, questioned, validated[single[number]].tested, case.others
            )
        ]
        enrolled = validated[single[0]].enrolled
        for number, one in enumerate(case.known):
            warnings += outside(one, number, known, enrolled, case.others)
        return Comparison(case, compared, questioned, known, warnings, missing)

    def _seconds(self, one: Recording) -> float:
        return one.seconds if self._cut_s is None else min(one.seconds, self._cut_s)

    def _hear(self, title: str, recordings: Sequence[Recording], cut_s: float) -> Voices:
        with self._means.stage(f"hearing: {title}", len(recordings)) as progress:
            rows = extract(
                self._system,
                [(one.path, cut_s) for one in recordings],
                self._means.cache,
                self._means.workers,
                progress,
            )
        return Voices.of(rows)

    def _scores(self, known: Voices, questioned: Voices) -> Floats:
        """The scores (n,) of the questioned recordings."""
        with np.errstate(invalid="ignore", divide="ignore"):
            template: Float32 = unit(unit(known.embeddings).mean(axis=0))
            scores = self._similarity.scores(template[None], unit(questioned.embeddings))[0]
        if not np.isfinite(scores).all():
            raise SpeechError(
                "a recording of the case has no embedding", "Is there any sound in all of them?"
            )
        found: Floats = scores.astype(np.float64)
        return found

    def _validated(self, condition: Condition, rows: NDArray[np.int64]) -> Validated:
        others = [self._case.others[row] for row in rows]
        people = [self._case.population[row] for row in rows]
        enrolled = self._hear("population, as known", others, condition.known_s)
        tested = self._hear("population, as questioned", others, condition.questioned_s)
        design = all_pairs(people, condition.known)
        design = design.only(design.apart)
        trials = trials_of(design, enrolled.embeddings, tested.embeddings, self._similarity)
        trials = together(trials, design, condition.together)
        speakers = len(np.unique(trials.enrolled[trials.is_target]))
        if speakers < FEWEST_SPEAKERS:
            raise SpeechError(
                f"only {speakers} speakers of the population can be compared with themselves in "
                f"another session; {FEWEST_SPEAKERS} are needed at least",
                "Give more speakers, with more recordings in each of their sessions.",
            )
        with self._means.stage("validation", None):
            validation = validate(trials, self._means.draws)
        return Validated(
            condition, validation, speakers, len(rows), ranges(tested), ranges(enrolled)
        )

    def _compared(
        self, questioned: tuple[int, ...], scores: Floats, validated: Validated
    ) -> Compared:
        score = float(scores.mean())
        validation = validated.validation
        llr = validation.line.slope * score + validation.line.offset
        with self._means.stage("interval", None):
            interval = validation.interval(score, self._means.draws)
        return Compared(questioned, score, llr, interval, validated)
