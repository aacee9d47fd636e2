"""Error rates, costs and calibration of scored trials.

A trial is accepted when ``score >= threshold``. *Target* trials compare a speaker with
himself, *non-target* trials two different speakers. Scores are any finite numbers of which
more means more alike. The terms are those of ISO/IEC 19795-1; ``Cllr`` is that of
N. Brümmer and J. du Preez, "Application-independent evaluation of speaker detection" (2006).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Measure = Callable[[Floats, Floats], float]
"""A figure computed of target scores (n,) and non-target scores (m,)."""

RIDGE = 1e-4
"""Keeps the slope of a calibration finite when the trials are perfectly separated."""


class DetCurve(NamedTuple):
    """False-accept and false-reject rates, each (k,), at ascending ``thresholds`` (k,).

    The first threshold accepts everything; the last is infinite and accepts nothing.
    """

    thresholds: Floats
    far: Floats
    frr: Floats

    def eer(self) -> float:
        """Equal-error rate in [0, 1]: where the rates cross, interpolated between thresholds."""
        _, far, frr = self
        after = int(np.argmax(frr >= far))
        if frr[after] == far[after] or after == 0:
            return float((frr[after] + far[after]) / 2)
        gap_before = far[after - 1] - frr[after - 1]
        share = gap_before / (gap_before + frr[after] - far[after])
        return float(frr[after - 1] + share * (frr[after] - frr[after - 1]))

    def min_dcf(
        self, prior: float = 0.01, miss_cost: float = 1.0, false_accept_cost: float = 1.0
    ) -> float:
        """NIST's normalized minimum detection cost."""
        miss, false_accept = prior * miss_cost, (1 - prior) * false_accept_cost
        least = np.min(miss * self.frr + false_accept * self.far)
        return float(least / min(miss, false_accept))

    def frr_at(self, far: float) -> float:
        """The false-reject rate at the lowest threshold whose FAR is at most ``far``."""
        return float(self.frr[np.argmax(self.far <= far + 1e-12)])


def det_curve(target: ArrayLike, nontarget: ArrayLike) -> DetCurve:
    """The trade of false accepts and false rejects over every threshold that matters.

    Raises ``ValueError`` when either kind of trial is absent or a score is not finite.
    """
    genuine, impostor = _scores(target), _scores(nontarget)
    # a stable sort takes linear time where the scores are in order already (the bootstrap)
    genuine, impostor = np.sort(genuine, kind="stable"), np.sort(impostor, kind="stable")
    every = np.sort(np.concatenate((genuine, impostor)), kind="stable")
    thresholds = np.append(every[np.append(True, every[1:] != every[:-1])], np.inf)
    frr = np.searchsorted(genuine, thresholds) / len(genuine)
    far = 1 - np.searchsorted(impostor, thresholds) / len(impostor)
    return DetCurve(thresholds, far, frr)


def eer(target: ArrayLike, nontarget: ArrayLike) -> float:
    """Equal-error rate in [0, 1]: see ``DetCurve.eer``."""
    return det_curve(target, nontarget).eer()


class OperatingRate(NamedTuple):
    """The false-reject rate at a threshold that was set for a false-accept rate."""

    frr: float
    threshold: float


def frr_at_far(target: ArrayLike, nontarget: ArrayLike, far: float) -> OperatingRate:
    """The lowest threshold whose FAR is at most ``far``, and the FRR there.

    Where no score separates that few impostors, the threshold lies just above the best of
    them. ``far`` below ``1 / len(nontarget)`` cannot be told from zero by these trials.
    """
    genuine, impostor = _scores(target), np.sort(_scores(nontarget), kind="stable")
    accepted = min(int(far * len(impostor) + 1e-9), len(impostor))
    if accepted == len(impostor):
        threshold = float(impostor[0])
    else:
        threshold = float(np.nextafter(impostor[len(impostor) - accepted - 1], np.inf))
    return OperatingRate(float(np.mean(genuine < threshold)), threshold)


def min_dcf(
    target: ArrayLike,
    nontarget: ArrayLike,
    *,
    prior: float = 0.01,
    miss_cost: float = 1.0,
    false_accept_cost: float = 1.0,
) -> float:
    """NIST's normalized minimum detection cost; 1 is that of a system which ignores the voice."""
    return det_curve(target, nontarget).min_dcf(prior, miss_cost, false_accept_cost)


def cllr(target_llr: ArrayLike, nontarget_llr: ArrayLike) -> float:
    """Cost of natural-log likelihood ratios in bits: 0 is perfect, 1 tells nothing."""
    genuine, impostor = _scores(target_llr), _scores(nontarget_llr)
    bits = np.logaddexp(0, -genuine).mean() + np.logaddexp(0, impostor).mean()
    return float(bits / 2 / np.log(2))


def fit_calibration(target: ArrayLike, nontarget: ArrayLike) -> tuple[Floats, float]:
    """Weights (k,) and offset that turn a trial into a natural-log likelihood ratio.

    A trial is a score, or a score and k - 1 measures of its quality, (n, k): logistic
    regression in which targets and non-targets weigh the same, so that the result is a
    likelihood ratio and holds no prior. Raises ``ValueError`` when targets do not score
    higher than non-targets on average: no positive slope fits them.
    """
    genuine, impostor = _features(target), _features(nontarget)
    if not genuine[:, 0].mean() > impostor[:, 0].mean():
        raise ValueError("target trials do not score higher than non-target trials")
    trials = np.concatenate((genuine, impostor))
    center, spread = trials.mean(axis=0), trials.std(axis=0)
    spread[spread == 0] = 1.0  # what never varies gets no weight
    design = np.column_stack(((trials - center) / spread, np.ones(len(trials))))
    sign = np.concatenate((np.ones(len(genuine)), -np.ones(len(impostor))))
    weight = np.where(sign > 0, 0.5 / len(genuine), 0.5 / len(impostor))
    ridge = np.diag((*np.full(len(center), RIDGE), 0.0))

    def cost(parameters: Floats) -> float:
        losses = np.logaddexp(0, -sign * (design @ parameters))
        return float(weight @ losses + parameters @ ridge @ parameters / 2)

    parameters = np.zeros(len(center) + 1)
    for _ in range(100):
        wrong = np.exp(-np.logaddexp(0, sign * (design @ parameters)))
        gradient = -design.T @ (weight * sign * wrong) + ridge @ parameters
        hessian = (design.T * (weight * wrong * (1 - wrong))) @ design + ridge
        step = np.linalg.solve(hessian, gradient)
        scale = 1.0
        while scale > 1e-6 and cost(parameters - scale * step) > cost(parameters):
            scale /= 2
        parameters = parameters - scale * step
        if np.abs(scale * step).max() < 1e-9:
            break
    weights: Floats = parameters[:-1] / spread
    return weights, float(parameters[-1] - weights @ center)


class Trials(NamedTuple):
    """Scored trials, (n,) each: the score, the speakers of template and utterance, and which
    utterance it was.
    """

    scores: Floats
    enrolled: NDArray[np.int_]
    tested: NDArray[np.int_]
    utterances: NDArray[np.int_]

    @property
    def is_target(self) -> NDArray[np.bool_]:
        """Whether the speaker is he of the template, (n,)."""
        return np.asarray(self.enrolled == self.tested)

    def only(self, rows: NDArray[np.bool_]) -> "Trials":
        """The chosen trials (n,)."""
        return Trials(
            self.scores[rows], self.enrolled[rows], self.tested[rows], self.utterances[rows]
        )

    def split(self) -> tuple[Floats, Floats]:
        """Target scores and non-target scores."""
        return self.scores[self.is_target], self.scores[~self.is_target]


def bootstrap_interval(
    measure: Measure,
    trials: Trials,
    *,
    level: float = 0.95,
    draws: int = 200,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of ``measure`` when other speakers had been recorded.

    Speakers are drawn with replacement; a trial counts as often as both of its speakers were
    drawn (the product for two different ones).
    """
    order = np.argsort(trials.scores, kind="stable")
    values, enrolled, tested, _ = (column[order] for column in trials)
    speakers, codes = np.unique(np.concatenate((enrolled, tested)), return_inverse=True)
    templates, voices = np.split(codes, 2)
    same = templates == voices
    generator = np.random.default_rng(seed)
    figures = []
    for _ in range(draws):
        times = np.bincount(
            generator.integers(0, len(speakers), len(speakers)), minlength=len(speakers)
        )
        weight = np.where(same, times[templates], times[templates] * times[voices])
        genuine = np.repeat(values[same], weight[same])
        impostor = np.repeat(values[~same], weight[~same])
        if len(genuine) and len(impostor):
            figures.append(measure(genuine, impostor))
    tail = (1 - level) / 2
    low, high = np.quantile(figures, (tail, 1 - tail))
    return float(low), float(high)


def _features(trials: ArrayLike) -> Floats:
    columns = np.asarray(trials, np.float64)
    return _scores(columns).reshape(len(columns), -1)


def _scores(values: ArrayLike) -> Floats:
    scores = np.asarray(values, np.float64).reshape(-1)
    if not scores.size or not np.isfinite(scores).all():
        raise ValueError("scores must be present and finite")
    return scores
