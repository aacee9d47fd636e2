"""Learns how high strangers score, and how far that can be trusted elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from edge_unlock.encoder.calibration import CALIBRATED_SECONDS, Quality
from edge_unlock.encoder.nontarget import USUAL_ENROLLED, NonTarget, upper_quantiles

Floats = NDArray[np.float64]


class Group(NamedTuple):
    """Non-target scores (n,), seconds of speech (n,), enrollment utterances of the templates."""

    scores: Floats
    seconds: Floats
    enrolled: int = USUAL_ENROLLED


RATES: Final = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
TAIL_RATE: Final = 0.005
"""The tail is the mean excess over the score of this rate."""

CHECKED_RATE: Final = 0.01
LEAST_RATE_SEEN: Final = 1e-4
"""Stands for no false accept at all, when rates of another corpus are compared."""

LEAST_SPREAD: Final = 0.01
"""Measures that vary less than this, beside the other, within corpora tell nothing."""

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
                (
                    group.scores
                    >= elsewhere.threshold(CHECKED_RATE, Quality(group.seconds), group.enrolled)
                ).mean()
                for group in own
            ]
        )
        factors.append(abs(np.log(max(float(rate), LEAST_RATE_SEEN) / CHECKED_RATE)))
    return replace(fitted, spread=float(np.exp(max(factors))))


def _fit(groups: Mapping[str, Sequence[Group]]) -> NonTarget:
    if not any(groups.values()):
        raise ValueError("there are no non-target trials")
    seconds_weight, enrolled_weight = _weights(groups)
    scores, weights = [], []
    for own in groups.values():
        for group in own:
            effects = _measures(group) @ (seconds_weight, enrolled_weight)
            scores.append(group.scores - effects)
            weights.append(np.full(len(group.scores), 1 / len(own) / len(group.scores)))
    values, weight = map(np.concatenate, (scores, weights))
    offset = float(np.average(values, weights=weight))
    rest = values - offset
    heights = upper_quantiles(rest, weight, RATES)
    (start,) = upper_quantiles(rest, weight, (TAIL_RATE,))
    over = rest >= start
    tail = np.average(rest[over] - start, weights=weight[over])
    # strictly rising, also where trials are so few that two rates have one score
    heights = np.maximum.accumulate(heights) + 1e-6 * np.arange(len(heights))
    return NonTarget(
        offset=offset,
        seconds_weight=seconds_weight,
        enrolled_weight=enrolled_weight,
        rates=RATES,
        heights=tuple(heights.tolist()),
        tail=max(float(tail), 1e-3),
        spread=UNKNOWN_SPREAD,
    )


def _weights(groups: Mapping[str, Sequence[Group]]) -> tuple[float, float]:
    """By how much the score of ``CHECKED_RATE`` grows with each measure, within corpora.

    Corpora differ in how alike their voices are, and in how long they speak: a slope across them
    would take one for the other. What does not differ within any has the weight 0.
    """
    measures, heights = [], []
    for own in groups.values():
        mean = np.array([_measures(group).mean(axis=0) for group in own])
        height = np.array([np.quantile(group.scores, 1 - CHECKED_RATE) for group in own])
        measures.append(mean - mean.mean(axis=0))
        heights.append(height - height.mean())
    seconds, enrolled = np.linalg.lstsq(
        np.concatenate(measures), np.concatenate(heights), rcond=LEAST_SPREAD
    )[0]
    return float(seconds), float(enrolled)


def _measures(group: Group) -> Floats:
    """What ``NonTarget`` weighs, (n, 2)."""
    logs = np.log(np.clip(group.seconds, *CALIBRATED_SECONDS))
    fewer = np.full(len(logs), 1 / USUAL_ENROLLED - 1 / group.enrolled)
    return np.column_stack((logs, fewer))
