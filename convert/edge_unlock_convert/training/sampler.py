"""Draws batches: balanced by corpus, by speaker, and by variant of the voice."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_unlock.errors import ConfigError
from edge_unlock_convert.training.recipe import HeldOut, Recipe
from edge_unlock_convert.training.voices import FULL_SCALE, Float32s, VoiceSet


class Batch(NamedTuple):
    """Speech (B, N) in [-1, 1], its true ``lengths`` (B,), targets (B, D) and voices (B,)."""

    samples: Tensor
    lengths: Tensor
    targets: Tensor
    voices: Tensor


def held_out_speakers(settings: HeldOut, speakers: Iterable[str], seed: int) -> set[str]:
    """The speakers (``corpus/speaker``) that are kept out of training."""
    known = sorted(set(speakers))
    chosen = set(settings.speakers) & set(known)
    for corpus, count in sorted(settings.count.items()):
        candidates = [s for s in known if s.split("/")[0] == corpus and s not in chosen]
        generator = np.random.default_rng(seed)
        chosen.update(generator.permutation(candidates)[:count].tolist())
    return chosen


class Sampler:
    """Batches of crops, with centred teacher embeddings as targets.

    A *voice* is one speaker changed in one way: a pseudo-speaker is another voice than the
    person it was made of. ``prototypes`` (voices, D) are the mean targets of the voices. Targets
    are teacher embeddings less the mean of all of them. ``speakers`` are who is trained on.
    Batches, targets and prototypes lie on ``device``.
    """

    def __init__(self, recipe: Recipe, voices: list[VoiceSet], device: str = "cpu") -> None:
        self._settings = recipe.sampling
        self._rate = recipe.features.sample_rate_hz
        self.held_out = held_out_speakers(recipe.held_out, voices[0].speakers, recipe.seed)
        self.embedding_size = voices[0].embeddings.shape[1]
        self._device = device
        # voices of each corpus, originals and variants apart
        corpora: dict[str, tuple[list[int], list[int]]] = {}
        self._audio = [np.asarray(one.audio) for one in voices]
        self.speakers: set[str] = set()
        shares = recipe.sampling.corpora
        rows: list[Float32s] = []
        pieces: list[NDArray[np.int64]] = []
        for variant, voice_set in enumerate(voices):
            for members in _voices(voice_set):
                speaker = str(voice_set.speakers[members[0]])
                corpus = speaker.split("/", maxsplit=1)[0]
                if speaker in self.held_out or (shares and corpus not in shares):
                    continue
                corpora.setdefault(corpus, ([], []))[variant > 0].append(len(rows))
                self.speakers.add(speaker)
                rows.append(voice_set.embeddings[members])
                first, end = voice_set.offsets[members], voice_set.offsets[members + 1]
                pieces.append(np.stack((np.full(len(members), variant), first, end - first), 1))
        if not rows:
            raise ConfigError("no speaker is left to train on", "Hold out fewer speakers.")
        embeddings = np.concatenate(rows)
        embeddings -= embeddings.mean(axis=0)
        centered = torch.nn.functional.normalize(torch.from_numpy(embeddings), dim=1)
        self._counts = np.array([len(part) for part in rows])
        self._first = np.cumsum(self._counts) - self._counts
        means = [part.mean(0) for part in torch.split(centered, self._counts.tolist())]
        self.prototypes = torch.nn.functional.normalize(torch.stack(means), dim=1).to(device)
        self._targets = centered.to(device)
        # of each piece: variant, first sample, samples
        self._pieces = np.concatenate(pieces)
        names = sorted(corpora)
        self._corpora = [tuple(map(np.array, corpora[name])) for name in names]
        weight = [shares.get(name, len(corpora[name][0])) for name in names]
        self._weight = np.cumsum(weight) / sum(weight)

    def batch(self, generator: np.random.Generator, pieces: int | None = None) -> Batch:
        """Draw a batch (of that many ``pieces``); crops shorter than it end in zeros."""
        settings = self._settings
        crop_s = float(generator.choice(settings.crop_s))
        count = pieces or min(settings.max_pieces, round(settings.batch_s / crop_s))
        size = int(crop_s * self._rate)
        drawn = generator.random((5, count))
        corpora = np.searchsorted(self._weight, drawn[0], side="right")
        voices = np.array(
            [self._voice(*of) for of in zip(corpora.tolist(), *drawn[1:3].tolist(), strict=True)]
        )
        rows = self._first[voices] + (drawn[3] * self._counts[voices]).astype(np.int64)
        variants, first, lengths = self._pieces[rows].T
        cuts = np.minimum(lengths, size)
        first = first + (drawn[4] * (lengths - cuts + 1)).astype(np.int64)
        samples = np.zeros((count, size), np.int16)
        for row, (variant, start, cut) in enumerate(zip(variants, first, cuts, strict=True)):
            samples[row, :cut] = self._audio[variant][start : start + cut]
        return Batch(
            torch.from_numpy(samples).to(self._device).float() / FULL_SCALE,
            torch.from_numpy(cuts).to(self._device),
            self._targets[torch.from_numpy(rows).to(self._device)],
            torch.from_numpy(voices).to(self._device),
        )

    def _voice(self, corpus: int, original: float, drawn: float) -> int:
        """The voice of a corpus that numbers in [0, 1) stand for."""
        originals, variants = self._corpora[corpus]
        chosen = original < self._settings.original or not len(variants)
        voices = originals if chosen else variants
        return int(voices[int(drawn * len(voices))])


def _voices(voice_set: VoiceSet) -> list[NDArray[np.int64]]:
    """The pieces of each voice: of one speaker, changed in one way."""
    _, speakers = np.unique(voice_set.speakers, return_inverse=True)
    _, changes = np.unique(voice_set.transforms, axis=0, return_inverse=True)
    pairs = np.column_stack((speakers, changes))
    _, codes = np.unique(pairs, axis=0, return_inverse=True)
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
