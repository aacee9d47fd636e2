"""Draws batches: balanced by corpus, by speaker, and by variant of the voice."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_unlock.errors import ConfigError
from edge_unlock_convert.training.recipe import HeldOut, Recipe
from edge_unlock_convert.training.voices import VoiceSet


class Batch(NamedTuple):
    """Speech (B, N), its true ``lengths`` (B,), teacher targets (B, D) and voices (B,)."""

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
    """

    def __init__(self, recipe: Recipe, voices: list[VoiceSet]) -> None:
        self._settings = recipe.sampling
        self._rate = recipe.features.sample_rate_hz
        self.held_out = held_out_speakers(recipe.held_out, voices[0].speakers, recipe.seed)
        self.embedding_size = voices[0].embeddings.shape[1]
        # voices of each corpus, originals and variants apart; pieces of each voice
        self._corpora: dict[str, tuple[list[int], list[int]]] = {}
        self._pieces: list[tuple[VoiceSet, NDArray[np.int64]]] = []
        self.speakers: set[str] = set()
        shares, rows = recipe.sampling.corpora, []
        for variant, voice_set in enumerate(voices):
            for members in _voices(voice_set):
                speaker = str(voice_set.speakers[members[0]])
                corpus = speaker.split("/", maxsplit=1)[0]
                if speaker in self.held_out or (shares and corpus not in shares):
                    continue
                self._corpora.setdefault(corpus, ([], []))[variant > 0].append(len(self._pieces))
                self._pieces.append((voice_set, members))
                self.speakers.add(speaker)
                rows.append(voice_set.embeddings[members])
        if not rows:
            raise ConfigError("no speaker is left to train on", "Hold out fewer speakers.")
        embeddings = np.concatenate(rows)
        embeddings -= embeddings.mean(axis=0)
        centered = torch.nn.functional.normalize(torch.from_numpy(embeddings), dim=1)
        self._ends = np.cumsum([len(part) for part in rows])
        means = [part.mean(0) for part in torch.split(centered, [len(part) for part in rows])]
        self.prototypes = torch.nn.functional.normalize(torch.stack(means), dim=1)
        self._targets = centered
        self._names = sorted(self._corpora)
        weight = [shares.get(name, len(self._corpora[name][0])) for name in self._names]
        self._weight = np.array(weight) / sum(weight)

    def batch(self, generator: np.random.Generator, pieces: int | None = None) -> Batch:
        """Draw a batch (of that many ``pieces``); crops shorter than it end in zeros."""
        settings = self._settings
        crop_s = float(generator.choice(settings.crop_s))
        count = pieces or min(settings.max_pieces, round(settings.batch_s / crop_s))
        size = int(crop_s * self._rate)
        samples, lengths = np.zeros((count, size), np.float32), np.zeros(count, np.int64)
        rows, voices = np.zeros(count, np.int64), np.zeros(count, np.int64)
        corpora = generator.choice(len(self._names), count, p=self._weight)
        for row, corpus in enumerate(corpora):
            originals, variants = self._corpora[self._names[corpus]]
            original = not variants or generator.random() < settings.original
            voice = int(generator.choice(originals if original else variants))
            voice_set, members = self._pieces[voice]
            member = int(generator.integers(len(members)))
            piece = int(members[member])
            length = int(voice_set.offsets[piece + 1] - voice_set.offsets[piece])
            start = int(generator.integers(max(1, length - size + 1)))
            cut = voice_set.cut(piece, start, min(size, length))
            samples[row, : len(cut)], lengths[row] = cut, len(cut)
            rows[row], voices[row] = self._ends[voice] - len(members) + member, voice
        return Batch(
            torch.from_numpy(samples),
            torch.from_numpy(lengths),
            self._targets[torch.from_numpy(rows)],
            torch.from_numpy(voices),
        )


def _voices(voice_set: VoiceSet) -> list[NDArray[np.int64]]:
    """The pieces of each voice: of one speaker, changed in one way."""
    _, speakers = np.unique(voice_set.speakers, return_inverse=True)
    _, changes = np.unique(voice_set.transforms, axis=0, return_inverse=True)
    pairs = np.column_stack((speakers, changes))
    _, codes = np.unique(pairs, axis=0, return_inverse=True)
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
