"""How well a student tells apart the speakers that were held out of its training."""

import copy
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from edge_unlock.similarity import Similarity
from edge_unlock_convert.corpus import middle
from edge_unlock_convert.metrics import eer
from edge_unlock_convert.training.front_end import FrontEnd
from edge_unlock_convert.training.recipe import Recipe
from edge_unlock_convert.training.student import Student
from edge_unlock_convert.training.voices import VoiceSet
from edge_unlock_convert.trials import score_trials

PIECES_A_SPEAKER = 16
"""A speaker of more would outweigh the others."""
SECONDS = (3.0, 1.0)
"""The compared pieces are cut to this much."""
BATCH = 64


class Validation:
    """Clean recorded pieces of the held-out speakers, and the EER over them."""

    def __init__(self, recipe: Recipe, recorded: VoiceSet, held_out: set[str]) -> None:
        self._rate = recipe.features.sample_rate_hz
        given: dict[str, int] = {}
        self._pieces, speakers = [], []
        for index, speaker in enumerate(recorded.speakers.tolist()):
            if speaker in held_out and given.get(speaker, 0) < PIECES_A_SPEAKER:
                given[speaker] = given.get(speaker, 0) + 1
                self._pieces.append(recorded.piece(index))
                speakers.append(speaker)
        self._speakers = np.array(speakers)

    def error_rates(
        self, weights: dict[str, torch.Tensor], student: Student, front_end: FrontEnd
    ) -> dict[str, float]:
        """EER by corpus and seconds, enroll 3, test 1, of a student with such ``weights``.

        Corpora without enough speech for a trial are left out; nobody held out gives nothing.
        """
        if not self._pieces:
            return {}
        network = copy.deepcopy(student).eval()
        network.load_state_dict(weights)
        rates = {}
        corpora = np.array([speaker.split("/")[0] for speaker in self._speakers])
        enrolled = self._embed(network, front_end, max(SECONDS))
        for seconds in SECONDS:
            tested = self._embed(network, front_end, seconds)
            for corpus in sorted(set(corpora.tolist())):
                mine = corpora == corpus
                try:
                    trials = score_trials(
                        enrolled[mine],
                        self._speakers[mine],
                        tests=tested[mine],
                        similarity=Similarity(enrolled),
                    )
                except ValueError:
                    continue
                rates[f"{corpus} {seconds:g} s"] = eer(*trials.split())
        return rates

    def _embed(self, network: Student, front_end: FrontEnd, seconds: float) -> NDArray[np.float32]:
        found = []
        with torch.inference_mode():
            for samples, lengths in self._batches(round(seconds * self._rate)):
                found.append(network(front_end(samples), front_end.steps(lengths)).numpy())
        return np.concatenate(found)

    def _batches(self, longest: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Pieces (B, longest), cut to their middle or ending in zeros, and their lengths (B,)."""
        for first in range(0, len(self._pieces), BATCH):
            pieces = self._pieces[first : first + BATCH]
            samples, lengths = np.zeros((len(pieces), longest), np.float32), []
            for row, piece in enumerate(pieces):
                cut = middle(piece, longest)
                samples[row, : len(cut)] = cut
                lengths.append(len(cut))
            yield torch.from_numpy(samples), torch.tensor(lengths)
