"""Those whom a voice is compared with, all at once."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.calibration import Quality
from edge_unlock.encoder.features import Float32
from edge_unlock.encoder.gallery import BLOCK
from edge_unlock.scoring.scorer import Scorer, Strictness, accepts
from edge_unlock.vault import Template

LARGEST_HOUSEHOLD: Final = 50
"""Of more people, each is not compared with every other: there are strangers enough among them."""

DECOY_UTTERANCES: Final = 5
"""As many as ``enroll`` asks for."""

NEAR: Final = 10.0
"""A voice is near somebody's if strangers are as much like it at most so many times as often as
they are accepted."""

Floats = NDArray[np.float64]


class Candidates:
    """The templates of one or more persons, and how sure one must be of each.

    To each of them all the rest are strangers, as are ``others``. ``operating_point`` decides for
    all, if it is given, else each person's own does. Raises ``ModelError`` for one that is unknown.
    """

    def __init__(
        self,
        scorer: Scorer,
        templates: Sequence[Template],
        others: Sequence[Template] = (),
        operating_point: str | None = None,
    ) -> None:
        self._scorer = scorer
        self.names = [one.user for one in templates]
        self.is_decoy = np.array([one.is_decoy for one in templates], dtype=bool)
        counts = [DECOY_UTTERANCES if one.is_decoy else len(one.embeddings) for one in templates]
        self.utterances = np.array(counts, dtype=np.int64)
        points = [operating_point or one.operating_point for one in templates]
        known = {point: scorer.strictness(point) for point in set(points)}
        self._rates = np.array([known[point].rate for point in points])
        self._thresholds = np.array([known[point].threshold for point in points])
        people = [*templates, *others]
        directions = _directions(scorer, people)
        voices = directions[: len(templates)]
        if self.is_decoy.any():
            voices = voices.copy()
            for number in np.flatnonzero(self.is_decoy):
                voices[number] = scorer.decoy(voices[number])
        is_household = 1 < len(people) <= LARGEST_HOUSEHOLD
        self.gallery = scorer.gallery(voices, directions if is_household else None)

    def __len__(self) -> int:
        return len(self.names)

    def bounded(self, wanted: Floats, rarest: float) -> Floats:
        """How much stricter than usually, (M,), each can be decided about: ``wanted``, or less.

        A model knows no rarer rate than ``rarest``, and one without rates none at all.
        """
        most = self._rates / rarest if self._scorer.knows_rates else 1.0
        return np.maximum(1.0, np.minimum(wanted, most))

    def compare(self, embedding: Float32, quality: Quality, strictness: Floats) -> "Evidence":
        """Compare with those whose ``strictness`` (M,) is a number, and so much more strictly."""
        rows = np.flatnonzero(~np.isnan(strictness))
        factors, enrolled, rates = strictness[rows], self.utterances[rows], self._rates[rows]
        scores = self.gallery.scores(embedding)[rows].astype(np.float64)
        thresholds = self._scorer.thresholds(
            Strictness(rates, self._thresholds[rows]),
            candidates=len(self) * factors,
            quality=quality,
            enrolled=enrolled,
        )
        fars = self._scorer.false_accept_rates(
            scores, candidates=len(self), quality=quality, enrolled=enrolled
        )
        # not known how rare it is: then it is near
        is_near = ~(fars > NEAR * rates / factors)
        # a NaN lies below all
        margins = np.nan_to_num(scores - thresholds, nan=-np.inf)
        return Evidence(rows, scores, thresholds, fars, is_near, margins)


class Evidence(NamedTuple):
    """What a comparison yields, of each of those compared, in arrays (n,)."""

    rows: NDArray[np.intp]
    """Their numbers among all."""
    scores: Floats
    thresholds: Floats
    fars: Floats
    """How probably a stranger is as much like one of all the candidates; NaN: not known."""
    is_near: NDArray[np.bool_]
    margins: Floats
    """By how much the score exceeds the threshold."""

    def accepts(self, place: int) -> bool:
        """Whether the score of the one at ``place`` is enough."""
        return accepts(float(self.scores[place]), float(self.thresholds[place]))

    def best(self, count: int) -> list[int]:
        """The places, in these arrays, of those that lie furthest above their own threshold."""
        first = int(np.argmax(self.margins))
        if count <= 1:
            return [first]
        within = min(count, len(self.margins)) - 1
        places = np.argpartition(-self.margins, within)[: within + 1]
        ranked = places[np.lexsort((places, -self.margins[places]))]
        return [first, *(int(place) for place in ranked if place != first)][:count]


def _directions(scorer: Scorer, people: Sequence[Template]) -> Float32:
    """The templates (n, D) of people, made a block at a time: what they were made of is larger."""
    blocks = [
        scorer.templates([one.embeddings for one in people[start : start + BLOCK]])
        for start in range(0, len(people), BLOCK)
    ]
    return np.concatenate(blocks) if blocks else np.zeros((0, 1), dtype=np.float32)
