"""Calibration and false-accept rates, set on trials that are made as the device makes them.

Recordings are cut to utterances by the device's segmenter and refused where the device would
refuse them; each is compared as it is and cut short, so that the calibration learns what the
duration of speech and the magnitude of an embedding are worth.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_unlock.audio import SAMPLE_RATE_HZ
from edge_unlock.encoder.calibration import Calibration, Quality
from edge_unlock.encoder.encoder import Encoder
from edge_unlock.encoder.features import Float32
from edge_unlock.encoder.nontarget import USUAL_ENROLLED, NonTarget
from edge_unlock.encoder.package import Manifest, ModelPackage, OperatingPoint
from edge_unlock.encoder.similarity import Similarity, unit
from edge_unlock.segmentation.quality import VERIFY_LIMITS, speech_seconds
from edge_unlock.segmentation.segment import Segmenter
from edge_unlock_convert.corpus import Utterance, middle
from edge_unlock_convert.scoring.metrics import cllr, fit_calibration
from edge_unlock_convert.scoring.nontarget import Group, fit_nontarget
from edge_unlock_convert.scoring.trials import score_trials

PIECE_S = 4
"""A longer recording is divided into pieces of at least this length."""
PIECES_A_SPEAKER = 30
"""A speaker of more is not listened to further: few would outweigh many."""
CUTS_S = (2.0, 1.0)
"""Utterances of more speech are compared once more, cut to these durations."""
MAGNITUDE_QUANTILES = (0.05, 0.95)
"""Of the trials: magnitudes beyond are counted as the nearest of these."""
LEAST_SPAN = 1.01
"""An encoder whose magnitudes differ less gives vectors of one length: they tell nothing."""
FALSE_ACCEPT_RATES = {"far-1e-2": 1e-2, "far-1e-3": 1e-3, "far-1e-4": 1e-4}
"""The rates that have a name; the last one is extrapolated."""
LEAST_TARGETS = 50
"""Trials of a corpus and duration with fewer targets are left out of the fit."""

Floats = NDArray[np.float64]
Embed = Callable[[Float32, int], Float32]
"""Samples (n,) at a rate in Hz to an embedding (D,), whose length is its magnitude."""


class Judged(NamedTuple):
    """Trials, (n,) each: score, how well the voice was heard, whether it is a target.

    The templates are of ``enrolled`` utterances each.
    """

    scores: Floats
    quality: Quality
    is_target: NDArray[np.bool_]
    enrolled: int = USUAL_ENROLLED

    def split(self) -> tuple[Floats, Floats]:
        """Target scores and non-target scores."""
        return self.scores[self.is_target], self.scores[~self.is_target]

    def only(self, rows: NDArray[np.int_]) -> "Judged":
        """The trials of these numbers."""
        return self._replace(
            scores=self.scores[rows],
            quality=self.quality.only(rows),
            is_target=self.is_target[rows],
        )


class Setting(NamedTuple):
    """What is set on trials: evidence, how high strangers score, thresholds; the cost in bits."""

    calibration: Calibration
    nontarget: NonTarget
    operating_points: tuple[OperatingPoint, ...]
    cllr: float


class Rates(NamedTuple):
    """Error rates at a threshold, in [0, 1], and of how many trials."""

    false_accepts: float
    false_rejects: float
    targets: int
    nontargets: int


def embedder(encoder: Encoder) -> Embed:
    """The device's embeddings, made as long as their magnitudes."""

    def embed(samples: Float32, rate_hz: int) -> Float32:
        direction = encoder.embed(samples, rate_hz)
        return np.asarray(direction * np.float32(encoder.magnitude or 0.0))

    return embed


class Listener:
    """Hears recordings through the device's own code: segmenter, quality limits."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._segmenter = Segmenter()

    @classmethod
    def of(cls, package: ModelPackage) -> "Listener":
        """One that embeds as the device does with a package."""
        return cls(embedder(Encoder(package)))

    def embedding(self, samples: Float32) -> Float32:
        """Samples (n,) at the device's rate, all of it speech, to float32 (D,)."""
        return self._embed(samples, SAMPLE_RATE_HZ)

    def speech(self, samples: Float32) -> tuple[Float32, float] | None:
        """The speech (n,) in a recording and its seconds; None where the device says: again."""
        self._segmenter.reset()
        segments = [*self._segmenter.push(samples), *self._segmenter.flush()]
        if VERIFY_LIMITS.fault_of(segments) is not None:
            return None
        speech = np.concatenate([segment.samples for segment in segments])
        return speech, speech_seconds(segments)


class Spoken(NamedTuple):
    """What the speakers of a corpus said, n utterances, the tests of it cut to a duration.

    ``embeddings`` (n, D) are those of whole utterances, ``tests`` (n, D) of the cut ones, as long
    as their magnitudes; ``used`` (n,) says which of them were longer than the cut.
    """

    corpus: str
    name: str
    speakers: NDArray[np.str_]
    embeddings: Float32
    tests: Float32
    seconds: Floats
    used: NDArray[np.bool_]


def hear(listener: Listener, utterances: Sequence[Utterance]) -> list[Spoken]:
    """What the speakers of each corpus say, by durations; what the device refuses is left out."""
    every = []
    for corpus in sorted({one.corpus for one in utterances}):
        heard = list(_heard(listener, [one for one in utterances if one.corpus == corpus]))
        if not heard:
            continue
        speakers = np.array([one.speaker for one in heard])
        embeddings = np.stack([one.embedding for one in heard])
        for cut_s in (None, *CUTS_S):
            used = np.array([cut_s is None or one.seconds > cut_s for one in heard])
            seconds = np.array([one.seconds if cut_s is None else cut_s for one in heard])
            tests = embeddings.copy()
            if cut_s is not None:
                length = round(cut_s * SAMPLE_RATE_HZ)
                for row in np.flatnonzero(used):
                    tests[row] = listener.embedding(middle(heard[row].samples, length))
            name = corpus if cut_s is None else f"{corpus}, {cut_s:g} s"
            every.append(Spoken(corpus, name, speakers, embeddings, tests, seconds, used))
    return every


def judge(
    spoken: Iterable[Spoken],
    similarity_for: Callable[[str], Similarity],
    enrolled: int = USUAL_ENROLLED,
) -> dict[str, Judged]:
    """Trials of each corpus and duration among its own speakers: ``enrolled`` and one to test.

    ``similarity_for`` gives what scores the trials of a corpus. Gives nothing for a corpus (or
    duration) that leaves no trial.
    """
    judged = {}
    for said in spoken:
        try:
            trials = score_trials(
                unit(said.embeddings),
                said.speakers,
                enroll=enrolled,
                similarity=similarity_for(said.corpus),
                tests=unit(said.tests),
            )
        except ValueError:
            continue
        quality = Quality(said.seconds, np.linalg.norm(said.tests, axis=1)).only(trials.utterances)
        every = Judged(trials.scores, quality, trials.is_target, enrolled)
        one = every.only(np.flatnonzero(said.used[trials.utterances]))
        if all(len(side) for side in one.split()):
            judged[said.name] = one
    return judged


def fit(judged: Mapping[str, Judged], *further: Mapping[str, Judged], seed: int = 0) -> Setting:
    """Set the calibration on as many trials of each corpus and duration, the rest on all.

    The keys are those of ``judge``. How high strangers score is learned of ``further`` trials as
    well, such as of other templates or with another cohort. Raises ``ValueError`` when there are
    too few trials for any, or they make no sense.
    """
    target, nontarget = _pooled(list(judged.values()), seed)
    calibration = _calibration(target, nontarget)
    target_llr, nontarget_llr = (
        calibration.llr(side.scores, side.quality) for side in (target, nontarget)
    )
    groups: dict[str, list[Group]] = {}
    for trials in (judged, *further):
        for name, one in trials.items():
            strangers = one.only(np.flatnonzero(~one.is_target))
            seconds = np.asarray(strangers.quality.seconds)
            group = Group(strangers.scores, seconds, one.enrolled)
            groups.setdefault(name.partition(", ")[0], []).append(group)
    nontarget_model = fit_nontarget(groups)
    points = tuple(
        OperatingPoint(
            name=name, false_accept_rate=rate, threshold=float(nontarget_model.threshold(rate))
        )
        for name, rate in FALSE_ACCEPT_RATES.items()
    )
    return Setting(calibration, nontarget_model, points, cllr(target_llr, nontarget_llr))


def needed_scores(
    manifest: Manifest, point: OperatingPoint, quality: Quality, enrolled: int
) -> Floats:
    """The scores, () or (n,), that the device accepts from, by templates of ``enrolled``."""
    if manifest.nontarget is not None:
        return manifest.nontarget.threshold(point.false_accept_rate, quality, enrolled)
    if manifest.calibration is not None:
        return manifest.calibration.score(manifest.calibration.llr(point.threshold), quality)
    return np.asarray(point.threshold)


def rates(judged: Judged, manifest: Manifest, operating_point: str | None = None) -> Rates:
    """Error rates of trials at a threshold of the package: the default one, or that of the name."""
    point = manifest.operating_point(operating_point)
    accepted = judged.scores >= needed_scores(manifest, point, judged.quality, judged.enrolled)
    same = judged.is_target
    return Rates(
        float(accepted[~same].mean()),
        float(1 - accepted[same].mean()),
        int(same.sum()),
        int((~same).sum()),
    )


def _calibration(target: Judged, nontarget: Judged) -> Calibration:
    every = np.concatenate([np.asarray(side.quality.magnitude) for side in (target, nontarget)])
    least, greatest = np.quantile(every, MAGNITUDE_QUANTILES).tolist()
    if greatest < LEAST_SPAN * least:
        least = greatest
    features = [
        np.column_stack((side.scores, side.quality.measures((least, greatest))))
        for side in (target, nontarget)
    ]
    (slope, seconds, magnitude), offset = fit_calibration(*features)
    return Calibration(
        slope=float(slope),
        offset=offset,
        seconds_weight=float(seconds),
        magnitude_weight=float(magnitude),
        magnitudes=(least, greatest),
    )


class _Heard(NamedTuple):
    """An utterance: who speaks, the speech (n,), its seconds, what ``Embed`` made of it (D,)."""

    speaker: str
    samples: Float32
    seconds: float
    embedding: Float32


def _heard(listener: Listener, utterances: Sequence[Utterance]) -> Iterator[_Heard]:
    given: dict[str, int] = {}
    for utterance in utterances:
        if given.get(utterance.speaker, 0) >= PIECES_A_SPEAKER:
            continue
        samples = utterance.samples(SAMPLE_RATE_HZ)
        # a speaker of one long recording is compared across its pieces
        for part in np.array_split(samples, max(1, len(samples) // (PIECE_S * SAMPLE_RATE_HZ))):
            found = listener.speech(part)
            if found is not None:
                given[utterance.speaker] = given.get(utterance.speaker, 0) + 1
                yield _Heard(utterance.speaker, *found, listener.embedding(found[0]))


def _pooled(judged: Sequence[Judged], seed: int) -> tuple[Judged, Judged]:
    """Target and non-target trials, as many of each group."""
    enough = [one for one in judged if one.is_target.sum() >= LEAST_TARGETS]
    if not enough:
        raise ValueError(f"no corpus has {LEAST_TARGETS} target trials")
    generator = np.random.default_rng(seed)
    sides = []
    for side in (True, False):
        rows = [np.flatnonzero(one.is_target == side) for one in enough]
        count = min(map(len, rows))
        chosen = [
            one.only(generator.permutation(row)[:count])
            for one, row in zip(enough, rows, strict=True)
        ]
        sides.append(_joined(chosen))
    return sides[0], sides[1]


def _joined(judged: Sequence[Judged]) -> Judged:
    columns = [(one.scores, *map(np.asarray, one.quality), one.is_target) for one in judged]
    scores, seconds, magnitudes, is_target = map(np.concatenate, zip(*columns, strict=True))
    return Judged(scores, Quality(seconds, magnitudes), is_target)
