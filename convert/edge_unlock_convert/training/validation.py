"""How well a student tells apart the speakers that were held out of its training."""

import numpy as np

from edge_unlock.encoder.similarity import Similarity
from edge_unlock_convert.scoring.metrics import eer
from edge_unlock_convert.scoring.trials import score_trials
from edge_unlock_convert.training.front_end import FrontEnd
from edge_unlock_convert.training.pieces import Pieces
from edge_unlock_convert.training.student import Student, Weights
from edge_unlock_convert.training.voices import VoiceSet

PIECES_A_SPEAKER = 16
"""A speaker of more would outweigh the others."""
SECONDS = (3.0, 1.0)
"""The compared pieces are cut to this much."""


class Validation:
    """Clean recorded pieces of the held-out speakers, and the EER over them."""

    def __init__(self, recorded: VoiceSet, held_out: set[str]) -> None:
        self._pieces = Pieces(recorded, held_out, PIECES_A_SPEAKER)

    def error_rates(
        self, weights: Weights, student: Student, front_end: FrontEnd
    ) -> dict[str, float]:
        """EER by corpus and seconds, enroll 3, test 1, of a student with such ``weights``.

        Corpora without enough speech for a trial are left out; nobody held out gives nothing.
        """
        if not len(self._pieces):
            return {}
        speakers, rates = self._pieces.speakers, {}
        corpora = np.array([speaker.split("/")[0] for speaker in speakers])
        enrolled = self._pieces.embed(weights, student, front_end, max(SECONDS))
        for seconds in SECONDS:
            tested = self._pieces.embed(weights, student, front_end, seconds)
            for corpus in sorted(set(corpora.tolist())):
                mine = corpora == corpus
                try:
                    trials = score_trials(
                        enrolled[mine],
                        speakers[mine],
                        tests=tested[mine],
                        similarity=Similarity(enrolled),
                    )
                except ValueError:
                    continue
                rates[f"{corpus} {seconds:g} s"] = eer(*trials.split())
        return rates
