"""Likelihood ratios of a population, each by a calibration that knew neither of its speakers."""

from collections.abc import Iterator
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_unlock_convert.errors import ConversionError
from edge_unlock_convert.evaluation.figures import Figures, measure
from edge_unlock_convert.evaluation.tally import Scored
from edge_unlock_convert.forensic.bounds import Bounds, Count, bounds
from edge_unlock_convert.scoring.metrics import Floats, Trials, bootstrap_interval, fit_calibration

FOLDS = 10
"""Groups of speakers. For a trial of groups i and j neither is calibrated on."""
MOST_NONTARGETS = 50_000
"""Of more, some are left out at random: what is uncertain is so by the number of speakers."""
HINT = "Give more speakers and recordings, in conditions in which voices can be told apart."


class Line(NamedTuple):
    """A calibration: natural-log likelihood ratio = ``slope`` * score + ``offset``."""

    slope: float
    offset: float

    @classmethod
    def fit(cls, target: Floats, nontarget: Floats) -> "Line":
        """Logistic regression in which both kinds of trials weigh the same.

        Raises ``ValueError`` where targets do not score higher.
        """
        weights, offset = fit_calibration(target, nontarget)
        return cls(float(weights[0]), offset)

    def llr(self, scores: Floats) -> Floats:
        """Natural-log likelihood ratios (n,) of scores (n,)."""
        return self.slope * scores + self.offset


class Validation(NamedTuple):
    """What a population shows: ``scored`` has the cross-validated natural-log likelihood ratios.

    ``line`` is the calibration on all trials, which is for the case; ``trials`` have scores.
    """

    trials: Trials
    line: Line
    scored: Scored
    figures: Figures
    bounds: Bounds

    def interval(self, score: float, draws: int) -> tuple[float, float]:
        """The 95% interval of a score's likelihood ratio, had other speakers been recorded."""

        def llr(target: Floats, nontarget: Floats) -> float:
            try:
                line = Line.fit(target, nontarget)
            except ValueError:
                return 0.0  # these speakers would have shown nothing
            return line.slope * score + line.offset

        return bootstrap_interval(llr, self.trials, draws=draws)


def validate(trials: Trials, draws: int) -> Validation:
    """Calibrate and validate on scored trials, of which those of too many are left out.

    Raises ``ConversionError`` where they do not tell voices apart.
    """
    few = _thinned(trials)
    try:
        line = Line.fit(*few.split())
        llr = cross_validated(few)
    except ValueError as error:
        raise ConversionError(f"the population allows no calibration: {error}", HINT) from error
    scored = Scored(few._replace(scores=llr), llr)
    speakers = len(np.unique(few.enrolled))
    figures = measure(scored, draws)
    return Validation(
        few, line, scored, figures, bounds(*scored.trials.split(), Count.of(speakers))
    )


def cross_validated(trials: Trials) -> Floats:
    """Natural-log likelihood ratios (n,) of trials, by speakers whom a calibration has not seen.

    Raises ``ValueError`` where the rest allows no calibration.
    """
    llr = np.full(len(trials.scores), np.nan)
    for tested, others in _splits(trials):
        llr[tested] = Line.fit(*trials.only(others).split()).llr(trials.scores[tested])
    return llr


def _splits(trials: Trials) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Which trials (n,) are judged, and which have nobody in common with them, over and over."""
    every = np.concatenate((trials.enrolled, trials.tested))
    group = np.unique(every, return_inverse=True)[1] % FOLDS
    one, other = np.split(group, 2)
    for pair in combinations_with_replacement(range(int(group.max()) + 1), 2):
        tested = (np.minimum(one, other) == pair[0]) & (np.maximum(one, other) == pair[1])
        if tested.any():
            yield tested, ~np.isin(one, pair) & ~np.isin(other, pair)


def _thinned(trials: Trials) -> Trials:
    others = np.flatnonzero(~trials.is_target)
    if len(others) <= MOST_NONTARGETS:
        return trials
    kept = trials.is_target.copy()
    kept[np.random.default_rng(0).choice(others, MOST_NONTARGETS, replace=False)] = True
    return trials.only(kept)
