"""Trials sorted once, and weighed often: the figures of a bootstrap over speakers.

Between two target scores every threshold rejects the same targets, so all non-target trials
there make one *level*; so does each target score with what ties with it. A draw of speakers
only changes the weights of the levels, and every figure is exact on them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from edge_unlock_convert.scoring.metrics import DetCurve, Floats, Trials

Integers = NDArray[np.int64]


class Weights(NamedTuple):
    """Trials of each level (k,): targets and non-targets, counted as often as they were drawn."""

    target: Floats
    nontarget: Floats


class Levels:
    """The levels of scored trials, and who speaks in each.

    Raises ``ValueError`` when either kind of trial is absent or a score is not finite.
    """

    def __init__(self, trials: Trials) -> None:
        scores, is_target = np.asarray(trials.scores, np.float64), trials.is_target
        if not np.isfinite(scores).all() or is_target.all() or not is_target.any():
            raise ValueError("scores must be present and finite")
        genuine = np.unique(scores[is_target])
        # a level below each target score and one at it: 2i and 2i + 1, and one above all
        below = np.searchsorted(genuine, scores, side="left")
        tied = genuine[np.minimum(below, len(genuine) - 1)] == scores
        self._level = 2 * below + tied
        self._count = 2 * len(genuine) + 1
        self._is_target = is_target
        self.thresholds = _lowest(scores, self._level, self._count)
        codes = np.unique(np.concatenate((trials.enrolled, trials.tested)), return_inverse=True)[1]
        one, other = np.split(codes.astype(np.int64), 2)
        self.speakers = int(codes.max()) + 1
        self._pair = one * self.speakers + other

    def counted(self) -> Floats:
        """Every trial once, (n,)."""
        return np.ones(len(self._level))

    def drawn(self, generator: np.random.Generator) -> Floats:
        """How often each trial counts, (n,), where speakers were drawn with replacement.

        A trial counts as often as both of its speakers were drawn.
        """
        chosen = generator.integers(0, self.speakers, self.speakers)
        times = np.bincount(chosen, minlength=self.speakers).astype(np.float64)
        pairs = np.outer(times, times)
        np.fill_diagonal(pairs, times)
        drawn: Floats = pairs.ravel()[self._pair]
        return drawn

    def weights(self, trials: Floats) -> Weights:
        """The weights of the levels, where trials (n,) count so often."""
        target, nontarget = (
            np.asarray(
                np.bincount(self._level[side], weights=trials[side], minlength=self._count),
                np.float64,
            )
            for side in (self._is_target, ~self._is_target)
        )
        return Weights(target, nontarget)


def _lowest(scores: Floats, level: Integers, count: int) -> Floats:
    """The lowest score of each level (count,); of an empty one, that of the next."""
    lowest = np.full(count, np.inf)
    np.minimum.at(lowest, level, scores)
    return np.asarray(np.minimum.accumulate(lowest[::-1])[::-1])


def det_curve(thresholds: Floats, weights: Weights) -> DetCurve:
    """The trade of errors on weighted levels (k,): (k + 1,)."""
    frr, accepted = (
        np.append(0.0, np.cumsum(side)) / side.sum() for side in (weights.target, weights.nontarget)
    )
    return DetCurve(np.append(thresholds, np.inf), 1 - accepted, frr)


def min_cllr(weights: Weights) -> float:
    """The cost in bits that the best monotone calibration would leave (Brümmer, 2006).

    That calibration is found by pool adjacent violators.
    """
    target, nontarget = (side / side.sum() for side in weights)
    used = (target > 0) | (nontarget > 0)
    target, nontarget = target[used], nontarget[used]
    both = target + nontarget
    posterior = np.clip(isotonic_regression(target / both, weights=both).x, 0, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.where(target > 0, -target * np.log2(posterior), 0) + np.where(
            nontarget > 0, -nontarget * np.log2(1 - posterior), 0
        )
    return float(bits.sum() / 2)
