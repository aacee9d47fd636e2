"""How strong evidence may be called, given how much of it was seen to be right.

P. Vergeer et al., "Numerical likelihood ratios outputted by LR systems are often based on
extrapolation: When to stop extrapolating?" (Science & Justice, 2016): empirical lower and upper
bounds (ELUB). Beyond them, one more strongly misleading trial would make decisions by these
likelihood ratios worse than decisions by prior odds alone.
"""

from typing import NamedTuple

import numpy as np

from edge_unlock_convert.scoring.metrics import Floats

STEP = np.log(10) / 100
"""Between the thresholds that are tried."""
MISLEADING = 1
"""Trials that are added on either side, as in the paper."""


class Bounds(NamedTuple):
    """The least and the greatest natural-log likelihood ratio that the validation supports."""

    low: float
    high: float

    def hold(self, llr: float) -> float:
        """A likelihood ratio, no stronger than is supported."""
        return float(np.clip(llr, self.low, self.high))


class Count(NamedTuple):
    """How many independent trials there were.

    Many trials of the same voices are no more than one: a speaker counts as one target trial, a
    pair of speakers as one non-target trial.
    """

    targets: int
    nontargets: int

    @classmethod
    def of(cls, speakers: int) -> "Count":
        """Of so many speakers who were all compared with one another."""
        return cls(speakers, speakers * (speakers - 1) // 2)


def bounds(target: Floats, nontarget: Floats, count: Count) -> Bounds:
    """The bounds of likelihood ratios of target trials (n,) and non-target trials (m,)."""
    genuine, impostor = np.sort(target), np.sort(nontarget)
    high = _furthest(-impostor[::-1], -genuine[::-1], count.nontargets, count.targets)
    low = _furthest(genuine, impostor, count.targets, count.nontargets)
    return Bounds(-low, high)


def _furthest(misled: Floats, led: Floats, misled_count: int, led_count: int) -> float:
    """How far from 0 evidence may go, of natural-log likelihood ratios in ascending order.

    The more negative, the stronger: of ``misled`` trials wrongly, of ``led`` ones rightly. With
    prior odds that balance a likelihood ratio, the cost of deciding by the prior alone is 1.
    """
    ends = [float(abs(one[0])) for one in (misled, led)]
    steps = np.arange(0.0, max(*ends, np.log(misled_count + 1)) + STEP, STEP)
    wrong = _share(np.searchsorted(misled, -steps, side="right") / len(misled), misled_count)
    missed = _share(1 - np.searchsorted(led, -steps, side="right") / len(led), led_count)
    fails = np.flatnonzero(missed + np.exp(steps) * wrong > 1)
    return float(steps[fails[0] - 1]) if fails.size and fails[0] else 0.0


def _share(seen: Floats, count: int) -> Floats:
    """A share of trials, with what was added."""
    return np.asarray((seen * count + MISLEADING) / (count + MISLEADING))
