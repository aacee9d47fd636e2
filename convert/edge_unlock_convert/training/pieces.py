"""Recorded pieces of some speakers, and what a student makes of them."""

import copy
from collections.abc import Collection, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from edge_unlock_convert.corpus import middle
from edge_unlock_convert.training.front_end import FrontEnd
from edge_unlock_convert.training.student import Student, Weights
from edge_unlock_convert.training.voices import VoiceSet

BATCH = 64


class Pieces:
    """The first ``most`` pieces of each of the ``chosen`` speakers who have ``least``.

    ``speakers`` (n,) says who speaks in them, ``targets`` (n, D) what the teacher heard.
    """

    def __init__(
        self, recorded: VoiceSet, chosen: Collection[str], most: int, least: int = 1
    ) -> None:
        rows: dict[str, list[int]] = {}
        for index, speaker in enumerate(recorded.speakers.tolist()):
            if speaker in chosen and len(rows.setdefault(speaker, [])) < most:
                rows[speaker].append(index)
        kept = sorted(row for own in rows.values() if len(own) >= least for row in own)
        self._recorded, self._rows = recorded, kept
        self.speakers: NDArray[np.str_] = recorded.speakers[kept]
        self.targets: NDArray[np.float32] = recorded.embeddings[kept]

    def __len__(self) -> int:
        return len(self._rows)

    def embed(
        self,
        weights: Weights,
        student: Student,
        front_end: FrontEnd,
        seconds: float,
    ) -> NDArray[np.float32]:
        """Embeddings (n, D) of norm 1, by a student with such ``weights``, of so many seconds."""
        network = copy.deepcopy(student).eval()
        network.load_state_dict(weights)
        longest, found = round(seconds * front_end.spec.sample_rate_hz), []
        with torch.inference_mode():
            for samples, lengths in self._batches(longest):
                steps = front_end.steps(lengths).to(front_end.device)
                heard = network(front_end(samples.to(front_end.device)), steps)
                found.append(heard.cpu().numpy())
        return np.concatenate(found)

    def _batches(self, longest: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Pieces (B, longest), cut to their middle or ending in zeros, and their lengths (B,)."""
        for first in range(0, len(self._rows), BATCH):
            rows = self._rows[first : first + BATCH]
            samples, lengths = np.zeros((len(rows), longest), np.float32), []
            for number, row in enumerate(rows):
                cut = middle(self._recorded.piece(row), longest)
                samples[number, : len(cut)] = cut
                lengths.append(len(cut))
            yield torch.from_numpy(samples), torch.tensor(lengths)
