"""The conditions of a case, and which trials of the population are made in them."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_unlock_convert.corpus import UNSAID, Utterance
from edge_unlock_convert.errors import SpeechError
from edge_unlock_convert.evaluation.design import Design
from edge_unlock_convert.forensic.case import Recording
from edge_unlock_convert.scoring.metrics import Trials

FEWEST_SPEAKERS = 10
"""Of fewer no calibration is made: it would say more of them than of the population."""
NEAR = 0.8
"""Shares of a length that is still the same condition; longer recordings are cut to it."""
ROUNDED_S = 0.5
"""Lengths are rounded down to it: each is validated by itself, and the population heard for it."""


class Condition(NamedTuple):
    """How a comparison was made: so many ``known`` recordings, of ``known_s`` seconds in the
    middle, against ``together`` questioned ones of ``questioned_s`` seconds.
    """

    questioned_s: float
    together: int
    known_s: float
    known: int

    @classmethod
    def of(cls, questioned: Sequence[float], known: Sequence[float]) -> "Condition":
        """Of recordings of so many seconds."""
        return cls(_middle(questioned), len(questioned), _middle(known), len(known))

    @property
    def shortest_s(self) -> float:
        """What a recording of the population must have to stand for either side."""
        return NEAR * max(self.questioned_s, self.known_s)

    @property
    def needed(self) -> int:
        """Recordings of a speaker that make a trial of the same speaker."""
        return self.known + self.together


def matching(
    condition: Condition, people: Sequence[Utterance], recordings: Sequence[Recording]
) -> NDArray[np.int64]:
    """Which recordings of the population are long enough, by number.

    Raises ``SpeechError`` where too few speakers have enough of them.
    """
    seconds: dict[str, list[float]] = {}
    for one, recording in zip(people, recordings, strict=True):
        seconds.setdefault(one.speaker, []).append(recording.seconds)
    # up to which length a speaker has as many recordings as are needed
    reach = sorted(
        (
            sorted(own)[-condition.needed] if len(own) >= condition.needed else 0.0
            for own in seconds.values()
        ),
        reverse=True,
    )
    enough = sum(one >= condition.shortest_s for one in reach)
    if enough < FEWEST_SPEAKERS:
        longest = reach[FEWEST_SPEAKERS - 1] if len(reach) >= FEWEST_SPEAKERS else 0.0
        raise SpeechError(
            f"{enough} speakers of the population have {condition.needed} recordings of "
            f"{condition.shortest_s:.1f} s or more; {FEWEST_SPEAKERS} are needed at least",
            f"Give a larger population, or --cut {np.floor(longest * 10) / 10:.1f}."
            if longest >= 0.5
            else "Give a larger population, or fewer known and questioned recordings.",
        )
    fits = [one.seconds >= condition.shortest_s for one in recordings]
    return np.flatnonzero(fits)


def together(trials: Trials, design: Design, count: int) -> Trials:
    """Trials in which ``count`` recordings of a speaker and session are compared at once.

    Their score is the mean of the scores (T,) of the trials of ``design``. What is left over of a
    speaker is left out.
    """
    if count == 1:
        return trials
    sessions = np.unique(
        [f"{one.speaker}\t{one.session}" for one in design.recordings], return_inverse=True
    )[1]
    voice = sessions[design.test]
    order = np.lexsort((design.test, voice, design.template))
    pair = np.stack((design.template[order], voice[order]))
    starts = np.append(True, (pair[:, 1:] != pair[:, :-1]).any(axis=0))
    run = np.cumsum(starts) - 1
    place = np.arange(len(order)) - np.flatnonzero(starts)[run]
    whole = place < np.bincount(run)[run] // count * count
    first = order[whole & (place % count == 0)]
    means = trials.scores[order[whole]].reshape(-1, count).mean(axis=1)
    return Trials(means, trials.enrolled[first], trials.tested[first], trials.utterances[first])


def sessions_are_known(people: Sequence[Utterance]) -> bool:
    """Whether speakers were recorded in more than one named session."""
    named: dict[str, set[str]] = {}
    for one in people:
        if one.session != UNSAID:
            named.setdefault(one.speaker, set()).add(one.session)
    return any(len(own) > 1 for own in named.values())


def _middle(seconds: Sequence[float]) -> float:
    return max(ROUNDED_S, round(float(np.floor(median(seconds) / ROUNDED_S)) * ROUNDED_S, 1))
