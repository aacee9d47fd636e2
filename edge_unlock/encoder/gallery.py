"""Many templates, ready to be compared with one voice after the other."""

from typing import Final

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock.encoder.similarity import Similarity

BLOCK: Final = 4096
"""So many templates are prepared at a time, for that takes twice the memory that they keep."""


class Gallery:
    """Scores an embedding against all templates (M, D) of norm 1, as ``Similarity.scores`` would.

    To each of them the ``people`` (P, D) are strangers as well, save the one of its own number:
    the first M of them are those of the templates. What depends on templates alone is done here
    once, so that an embedding takes one matrix product, in float32.
    """

    def __init__(
        self, similarity: Similarity, templates: Float32, people: Float32 | None = None
    ) -> None:
        self._similarity = similarity
        self._voices = np.empty_like(templates)
        self._strangers = np.zeros(len(templates), dtype=np.float32)
        with np.errstate(invalid="ignore", divide="ignore"):
            self._people = None if people is None else similarity.centered(people)
            for start in range(0, len(templates), BLOCK):
                block = slice(start, start + BLOCK)
                voices = self._voices[block] = similarity.centered(templates[block])
                if similarity.cohort is not None:
                    cosines = voices @ similarity.cohort.T
                    if self._people is not None:
                        to_people = _to_others(voices @ self._people.T, start)
                        cosines = np.concatenate((cosines, to_people), axis=1)
                    self._strangers[block] = similarity.nearest(cosines)

    def __len__(self) -> int:
        return len(self._voices)

    @property
    def size_bytes(self) -> int:
        """What it keeps in memory."""
        return self._voices.nbytes + self._strangers.nbytes

    def scores(self, embedding: Float32) -> Float32:
        """Scores (M,) of an embedding (D,) of norm 1. NaN where one of the two has no direction."""
        similarity = self._similarity
        with np.errstate(invalid="ignore", divide="ignore"):
            voice = similarity.centered(embedding)
            cosines: Float32 = self._voices @ voice
            if similarity.cohort is None:
                return cosines
            strangers = (similarity.cohort @ voice)[None]
            if self._people is not None:
                alike = np.broadcast_to(self._people @ voice, (len(self), len(self._people)))
                known = np.broadcast_to(strangers, (len(self), strangers.shape[1]))
                strangers = np.concatenate((known, _to_others(alike, 0)), axis=1)
            found = similarity.nearest(strangers)
            scores: Float32 = cosines - similarity.weight / 2 * (self._strangers + found)
            return scores


def _to_others(cosines: Float32, first: int) -> Float32:
    """Cosines (n, P) to people, of those from number ``first`` on: none of himself."""
    others = cosines.copy()
    numbers = np.arange(len(others))
    others[numbers, first + numbers] = -np.inf
    return others
