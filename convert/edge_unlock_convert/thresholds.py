"""Calibration and thresholds, set on trials that are made as the device makes them.

Recordings are cut to utterances by the device's segmenter and refused where the device would
refuse them; each is compared as it is and cut short, so that the calibration learns what the
duration of speech is worth.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_unlock.audio import SAMPLE_RATE_HZ
from edge_unlock.features import Float32
from edge_unlock.model import (
    CALIBRATED_SECONDS,
    Calibration,
    Manifest,
    OperatingPoint,
)
from edge_unlock.quality import VERIFY_LIMITS, speech_seconds
from edge_unlock.segment import Segmenter
from edge_unlock.similarity import Similarity
from edge_unlock_convert.corpus import Utterance, middle
from edge_unlock_convert.metrics import cllr, fit_calibration
from edge_unlock_convert.quantize import operating_points
from edge_unlock_convert.trials import score_trials

PIECE_S = 4
"""A longer recording is divided into pieces of at least this length."""
PIECES_A_SPEAKER = 30
"""A speaker of more is not listened to further: few would outweigh many."""
CUTS_S = (2.0, 1.0)
"""Utterances of more speech are compared once more, cut to these durations."""
LEAST_TARGETS = 50
"""Trials of a corpus and duration with fewer targets are left out of the fit."""

Floats = NDArray[np.float64]


class Judged(NamedTuple):
    """Trials, (n,) each: score, logarithm of the seconds compared, whether it is a target."""

    scores: Floats
    durations: Floats
    is_target: NDArray[np.bool_]

    def split(self) -> tuple[Floats, Floats]:
        """Target scores and non-target scores."""
        return self.scores[self.is_target], self.scores[~self.is_target]


class Setting(NamedTuple):
    """What is set on trials: the calibration, the thresholds, and the cost in bits."""

    calibration: Calibration
    operating_points: tuple[OperatingPoint, ...]
    cllr: float


class Rates(NamedTuple):
    """Error rates at a threshold, in [0, 1], and of how many trials."""

    false_accepts: float
    false_rejects: float
    targets: int
    nontargets: int


class Listener:
    """Hears recordings through the device's own code: segmenter, quality limits.

    ``embed`` makes an embedding float32 (D,) of norm 1 of samples (n,) at a rate in Hz, as
    ``Encoder.embed`` does.
    """

    def __init__(self, embed: Callable[[Float32, int], Float32]) -> None:
        self._embed = embed
        self._segmenter = Segmenter()

    def embedding(self, samples: Float32) -> Float32:
        """Samples (n,) at the device's rate to float32 (D,), norm 1, all of it speech."""
        return self._embed(samples, SAMPLE_RATE_HZ)

    def speech(self, samples: Float32) -> tuple[Float32, float] | None:
        """The speech (n,) in a recording and its seconds; None where the device says: again."""
        self._segmenter.reset()
        segments = [*self._segmenter.push(samples), *self._segmenter.flush()]
        if VERIFY_LIMITS.fault_of(segments) is not None:
            return None
        speech = np.concatenate([segment.samples for segment in segments])
        return speech, speech_seconds(segments)


def judge(
    listener: Listener,
    utterances: Sequence[Utterance],
    similarity_for: Callable[[str], Similarity],
) -> dict[str, Judged]:
    """Trials of each corpus among its own speakers, by durations: enroll 3, test 1.

    ``similarity_for`` gives what scores the trials of a corpus. Gives nothing for a corpus (or
    duration) that leaves no trial.
    """
    judged = {}
    for corpus in sorted({one.corpus for one in utterances}):
        heard = list(_heard(listener, [one for one in utterances if one.corpus == corpus]))
        if not heard:
            continue
        speakers = np.array([one.speaker for one in heard])
        embeddings = np.stack([one.embedding for one in heard])
        similarity = similarity_for(corpus)
        for cut_s in (None, *CUTS_S):
            used = np.array([cut_s is None or one.seconds > cut_s for one in heard])
            seconds = np.array([one.seconds if cut_s is None else cut_s for one in heard])
            tests = embeddings.copy()
            if cut_s is not None:
                length = round(cut_s * SAMPLE_RATE_HZ)
                for row in np.flatnonzero(used):
                    tests[row] = listener.embedding(middle(heard[row].samples, length))
            try:
                trials = score_trials(embeddings, speakers, similarity=similarity, tests=tests)
            except ValueError:
                continue
            kept = used[trials.utterances]
            durations = log_seconds(seconds)
            name = corpus if cut_s is None else f"{corpus}, {cut_s:g} s"
            one = Judged(
                trials.scores[kept], durations[trials.utterances][kept], trials.is_target[kept]
            )
            if all(len(side) for side in one.split()):
                judged[name] = one
    return judged


def fit(judged: dict[str, Judged], seed: int = 0) -> Setting:
    """Set calibration and thresholds on as many trials of each corpus and duration.

    Raises ``ValueError`` when there are too few trials for any, or they make no sense.
    """
    target, nontarget = _pooled(list(judged.values()), seed)
    calibration = _calibration(target, nontarget)
    target_llr, nontarget_llr = _weigh(calibration, target), _weigh(calibration, nontarget)
    points = operating_points(
        *((llr - calibration.offset) / calibration.slope for llr in (target_llr, nontarget_llr))
    )
    return Setting(calibration, points, cllr(target_llr, nontarget_llr))


def evidence(calibration: Calibration, scores: Floats, durations: Floats) -> Floats:
    """Natural-log likelihood ratios (n,) of scores, given the logarithms of the seconds compared.

    This is what the device decides by; ``Calibration.llr`` of one trial.
    """
    return _weigh(calibration, _features(scores, durations))


def log_seconds(seconds: ArrayLike) -> Floats:
    """The logarithm of durations, held within those that a calibration is fitted for."""
    logarithms: Floats = np.log(np.clip(seconds, *CALIBRATED_SECONDS))
    return logarithms


def rates(judged: Judged, manifest: Manifest, operating_point: str | None = None) -> Rates:
    """Error rates of trials at a threshold of the package: the default one, or that of the name."""
    threshold = manifest.operating_point(operating_point).threshold
    calibration = manifest.calibration
    if calibration is None:
        accepted = judged.scores >= threshold
    else:
        found = evidence(calibration, judged.scores, judged.durations)
        accepted = found >= calibration.llr(threshold)
    same = judged.is_target
    return Rates(
        float(accepted[~same].mean()),
        float(1 - accepted[same].mean()),
        int(same.sum()),
        int((~same).sum()),
    )


def _calibration(target: Floats, nontarget: Floats) -> Calibration:
    weights, offset = fit_calibration(target, nontarget)
    slope, slope_growth, offset_growth = weights.tolist()
    try:
        return Calibration(
            slope=slope, offset=offset, slope_growth=slope_growth, offset_growth=offset_growth
        )
    except ValueError:  # too little was learned of durations: do without them
        (alone,), offset = fit_calibration(target[:, 0], nontarget[:, 0])
        return Calibration(slope=float(alone), offset=offset)


def _features(scores: Floats, durations: Floats) -> Floats:
    """What the calibration weighs, (n, 3): score, score times duration, duration."""
    return np.column_stack((scores, scores * durations, durations))


def _weigh(calibration: Calibration, features: Floats) -> Floats:
    weights = (calibration.slope, calibration.slope_growth, calibration.offset_growth)
    ratios: Floats = features @ np.array(weights) + calibration.offset
    return ratios


class _Heard(NamedTuple):
    """An utterance: who speaks, the speech (n,), its seconds, its embedding (D,)."""

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


def _pooled(judged: Sequence[Judged], seed: int) -> tuple[Floats, Floats]:
    """Features of target and non-target trials, (n, 3), as many of each group."""
    enough = [one for one in judged if one.is_target.sum() >= LEAST_TARGETS]
    if not enough:
        raise ValueError(f"no corpus has {LEAST_TARGETS} target trials")
    generator = np.random.default_rng(seed)
    sides = []
    for side in (True, False):
        rows = [_features(one.scores, one.durations)[one.is_target == side] for one in enough]
        count = min(map(len, rows))
        sides.append(np.concatenate([generator.permutation(part)[:count] for part in rows]))
    return sides[0], sides[1]
