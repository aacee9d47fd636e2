"""Learns how high strangers score, and how far that can be trusted elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from edge_unlock.calibration import CALIBRATED_SECONDS, Quality
from edge_unlock.nontarget import NonTarget

Floats = NDArray[np.float64]
Group = tuple[Floats, Floats]
"""Non-target scores (n,), and the seconds of speech (n,) of each."""

RATES: Final = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
TAIL_RATE: Final = 0.005
"""The tail is the mean excess over the score of this rate."""

CHECKED_RATE: Final = 0.01
LEAST_RATE_SEEN: Final = 1e-4
"""Stands for no false accept at all, when rates of another corpus are compared."""

LEAST_SPAN: Final = 0.2
"""Of ln(seconds) between the durations of a corpus, to learn from it what duration does."""

UNKNOWN_SPREAD: Final = 10.0
"""Where there is one corpus only, nothing tells how it is elsewhere."""


def fit_nontarget(groups: Mapping[str, Sequence[Group]]) -> NonTarget:
    """The distribution of the non-target scores of several corpora, each of which weighs alike.

    ``groups`` of a corpus are its trials by duration, which weigh alike within it. The spread is
    that of the false-accept rate of each corpus at a threshold learned on all others. Raises
    ``ValueError`` when there are no trials.
    """
    fitted = _fit(groups)
    if len(groups) < 2:
        return fitted
    factors = []
    for corpus, own in groups.items():
        elsewhere = _fit({name: group for name, group in groups.items() if name != corpus})
        rate = np.mean(
            [
                (scores >= elsewhere.threshold(CHECKED_RATE, Quality(seconds))).mean()
                for scores, seconds in own
            ]
        )
        factors.append(abs(np.log(max(float(rate), LEAST_RATE_SEEN) / CHECKED_RATE)))
    return replace(fitted, spread=float(np.exp(max(factors))))


def _fit(groups: Mapping[str, Sequence[Group]]) -> NonTarget:
    scores, seconds, weights = [], [], []
    for own in groups.values():
        for group_scores, group_seconds in own:
            scores.append(group_scores)
            seconds.append(_log_seconds(group_seconds))
            weights.append(np.full(len(group_scores), 1 / len(own) / len(group_scores)))
    if not scores:
        raise ValueError("there are no non-target trials")
    values, logs, weight = map(np.concatenate, (scores, seconds, weights))
    slope = _seconds_weight(groups)
    offset = float(np.average(values - slope * logs, weights=weight))
    rest = values - offset - slope * logs
    heights = _upper_quantiles(rest, weight, RATES)
    (start,) = _upper_quantiles(rest, weight, (TAIL_RATE,))
    over = rest >= start
    tail = np.average(rest[over] - start, weights=weight[over])
    # strictly rising, also where trials are so few that two rates have one score
    heights = np.maximum.accumulate(heights) + 1e-6 * np.arange(len(heights))
    return NonTarget(
        offset=offset,
        seconds_weight=slope,
        rates=RATES,
        heights=tuple(heights.tolist()),
        tail=max(float(tail), 1e-3),
        spread=UNKNOWN_SPREAD,
    )


def _seconds_weight(groups: Mapping[str, Sequence[Group]]) -> float:
    """By how much the score of ``CHECKED_RATE`` grows with each ln(second), within corpora.

    Corpora differ in how alike their voices are, and in how long they speak: a slope across them
    would take one for the other. Those of one duration tell nothing; without any other it is 0.
    """
    slopes = []
    for own in groups.values():
        logs = np.array([_log_seconds(seconds).mean() for _, seconds in own])
        if np.ptp(logs) < LEAST_SPAN:
            continue
        heights = [np.quantile(scores, 1 - CHECKED_RATE) for scores, _ in own]
        slopes.append(np.polyfit(logs, heights, 1)[0])
    return float(np.mean(slopes)) if slopes else 0.0


def _log_seconds(seconds: Floats) -> Floats:
    logs: Floats = np.log(np.clip(seconds, *CALIBRATED_SECONDS))
    return logs


def _upper_quantiles(values: Floats, weights: Floats, rates: Sequence[float]) -> Floats:
    """The values that so large shares of the weight lie above."""
    order = np.argsort(values)
    below = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    quantiles: Floats = np.interp(1 - np.asarray(rates), below, values[order])
    return quantiles
