"""How high strangers score: from a false-accept rate to a threshold, and back."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_unlock.encoder.calibration import CALIBRATED_SECONDS, USUAL, Quality

USUAL_ENROLLED = 3
"""Enrollment utterances of a template."""

Rate = Annotated[float, msgspec.Meta(ge=1e-9, lt=1)]
Score = Annotated[float, msgspec.Meta(ge=-2, le=2)]
"""A score, or what is added to one: all scores of unit vectors lie within."""


class NonTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The distribution of non-target scores, of one template.

    A stranger's score is ``offset + seconds_weight * ln(seconds)`` on the average, less
    ``enrolled_weight`` times how much 1/n exceeds 1/3 for a template of n enrollment utterances:
    the mean of few lies far from everybody. It lies above that by one of ``heights`` as often as
    the one of ``rates`` says; rates fall, heights rise. Beyond the last of
    them, where too few trials were seen, the rate falls by a factor e for every ``tail`` of score:
    an exponential tail, which is the generalized Pareto distribution of shape 0 (Pickands,
    "Statistical inference using extreme order statistics", 1975) and heavier than that of scores.

    ``spread`` is by what factor the rate was off, up or down, for speech of a corpus that it was
    not learned on.
    """

    offset: Score
    seconds_weight: Score
    enrolled_weight: Score = 0.0
    rates: Annotated[tuple[Rate, ...], msgspec.Meta(min_length=2, max_length=64)]
    heights: tuple[Score, ...]
    tail: Annotated[float, msgspec.Meta(ge=1e-3, le=1)]
    spread: Annotated[float, msgspec.Meta(ge=1, le=1e6)]

    def __post_init__(self) -> None:
        if len(self.rates) != len(self.heights):
            raise ValueError("rates and heights differ in number")
        weights = (self.seconds_weight, self.enrolled_weight)
        if not np.isfinite((self.offset, *weights, self.tail, *self.heights)).all():
            raise ValueError("the distribution of non-target scores is not finite")
        if any(one <= other for one, other in pairwise(self.rates)) or any(
            one >= other for one, other in pairwise(self.heights)
        ):
            raise ValueError("rates do not fall, or heights do not rise")

    def threshold(
        self, rate: ArrayLike, quality: Quality = USUAL, enrolled: ArrayLike = USUAL_ENROLLED
    ) -> NDArray[np.float64]:
        """The scores, () or (n,), that a stranger reaches with this probability.

        ``enrolled``: the number of utterances of the template, at least 1.

        NaN, which nothing reaches, for a rate outside of 0..1 or a quality that is not a number.
        """
        rates = np.asarray(rate, dtype=np.float64)
        rates = np.where((rates > 0) & (rates < 1), rates, np.nan)
        beyond = np.log(self.rates[-1] / rates)
        within = np.interp(-np.log(rates), -np.log(self.rates), self.heights)
        height = np.where(beyond > 0, self.heights[-1] + self.tail * beyond, within)
        return np.asarray(self._location(quality, enrolled) + height)

    def rate(
        self, score: ArrayLike, quality: Quality = USUAL, enrolled: ArrayLike = USUAL_ENROLLED
    ) -> NDArray[np.float64]:
        """How probably, () or (n,), a stranger scores as high: the inverse of ``threshold``.

        Never more than the first of ``rates``; 1 for a score that is not a number.
        """
        height = np.asarray(score, dtype=np.float64) - self._location(quality, enrolled)
        beyond = np.maximum(height - self.heights[-1], 0.0)
        rarer = self.rates[-1] * np.exp(-beyond / self.tail)
        within = np.exp(np.interp(height, self.heights, np.log(self.rates)))
        return np.where(np.isfinite(height), np.where(beyond > 0, rarer, within), 1.0)

    def _location(self, quality: Quality, enrolled: ArrayLike) -> NDArray[np.float64]:
        # the magnitude tells nothing here; but one that is no number comes of no voice
        heard = 0.0 if quality.magnitude is None else np.multiply(quality.magnitude, 0.0)
        seconds = np.clip(np.asarray(quality.seconds), *CALIBRATED_SECONDS)
        fewer = 1 / np.maximum(enrolled, 1) - 1 / USUAL_ENROLLED
        location = self.offset + self.seconds_weight * np.log(seconds)
        return np.asarray(heard + location - self.enrolled_weight * fewer)


def upper_quantiles(
    values: NDArray[np.float64], weights: NDArray[np.float64], rates: Sequence[float]
) -> NDArray[np.float64]:
    """The values (m,), of ``values`` (n,), that shares ``rates`` (m,) of ``weights`` lie above."""
    order = np.argsort(values)
    below = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    quantiles: NDArray[np.float64] = np.interp(1 - np.asarray(rates), below, values[order])
    return quantiles
