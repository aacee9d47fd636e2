"""The speaker encoder: samples in, one embedding of the voice out, at any time.

The recurrent state is kept between calls, so that an utterance may be pushed in pieces as it is
spoken; ``reset`` starts the next one.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge_unlock.encoder.features import Float32, MfccStream, NormalizationStream
from edge_unlock.encoder.network import Network
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.errors import AudioError, ModelError

ATTENTION_LOGIT_LIMIT = 20.0
"""Bounds exp() of the attention output; a trained network stays far below."""


class Embedding(NamedTuple):
    """What an utterance was embedded as."""

    direction: Float32
    """``Encoder.embedding``: (D,), norm 1."""
    magnitude: float
    """``Encoder.magnitude``."""


class Encoder:
    """An int8 LSTM speaker encoder.

    One instance follows one stream: it keeps the state of the utterance that is being
    pushed. ``embed`` is the short way for a whole recording.
    """

    def __init__(self, package: ModelPackage) -> None:
        self.package = package
        manifest = package.manifest
        self.embedding_size = manifest.encoder.embedding_size
        self.sample_rate_hz = manifest.features.sample_rate_hz
        self._stacked = manifest.encoder.frames_stacked
        self._pooling = manifest.encoder.pooling
        self._mfcc = MfccStream(manifest.features)
        self._normalization = NormalizationStream(manifest.normalization)
        self._network = Network(
            package.model,
            self._stacked * manifest.features.coefficients,
            self.embedding_size,
            attention=self._pooling == "attention",
        )
        self.resets = 0
        """How often it began anew: who shares it sees whether its state is still theirs."""
        self.reset()

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Encoder":
        """Load the model package at ``path``; without one, the model that ships.

        Raises ``ModelError`` when the package is missing, altered or does not run.
        """
        return cls(ModelPackage.load(None if path is None else Path(path)))

    def reset(self) -> None:
        """Forget the current utterance."""
        self.resets += 1
        self._mfcc.reset()
        self._normalization.reset()
        self._network.reset()
        self._frames = np.zeros((0, self.package.manifest.features.coefficients), np.float32)
        self._weighted_sum = np.zeros(self.embedding_size)
        self._weight = 0.0

    def push(self, samples: Float32) -> None:
        """Take the next samples (n,) of the utterance: mono, [-1, 1], at ``sample_rate_hz``.

        Raises ``AudioError`` for samples that are not finite or not one channel.
        """
        if samples.ndim != 1 or not np.isfinite(samples).all():
            raise AudioError("samples must be one channel of finite numbers", "Check the source.")
        frames = self._normalization.push(self._mfcc.push(samples))
        frames = np.concatenate((self._frames, frames))
        steps = len(frames) // self._stacked
        used = steps * self._stacked
        self._frames = frames[used:]
        for step in frames[:used].reshape(steps, self._stacked * frames.shape[1]):
            embedding, logit = self._network.step(step)
            if self._pooling == "last":
                self._weighted_sum, self._weight = embedding, 1.0
                continue
            weight = np.exp(np.clip(logit, -ATTENTION_LOGIT_LIMIT, ATTENTION_LOGIT_LIMIT))
            self._weighted_sum = self._weighted_sum + weight * embedding
            self._weight += weight

    @property
    def embedding(self) -> Float32 | None:
        """The embedding of the utterance so far: float32 (D,), L2 norm 1.

        None while too little was pushed for a first step, or if the sum is not a direction.
        """
        norm = np.linalg.norm(self._weighted_sum)
        if not self._weight or not np.isfinite(norm) or norm == 0:
            return None
        unit: Float32 = (self._weighted_sum / norm).astype(np.float32)
        return unit

    @property
    def magnitude(self) -> float | None:
        """How long the mean of the steps was, of which ``embedding`` is the direction.

        Steps that agree on a voice make a long mean: it tells how far to trust the embedding.
        None where there is none. In units of the network's output.
        """
        if self.embedding is None:
            return None
        return float(np.linalg.norm(self._weighted_sum) / self._weight)

    @property
    def utterance(self) -> Embedding | None:
        """``embedding`` and ``magnitude`` of the utterance so far; None where there is none."""
        direction, magnitude = self.embedding, self.magnitude
        if direction is None or magnitude is None:
            return None
        return Embedding(direction, magnitude)

    def embed(self, samples: Float32, sample_rate: int) -> Float32:
        """Embed a whole recording: samples (n,), mono, float32 in [-1, 1], at any rate in Hz.

        Returns float32 (D,), L2 norm 1. Raises ``AudioError`` for samples that are not finite,
        not mono, or too few for one step of the encoder; ``ModelError`` where the network gives
        no embedding of them.
        """
        if sample_rate != self.sample_rate_hz:
            import soxr  # noqa: PLC0415  # the usual rate needs none

            samples = soxr.resample(
                np.asarray(samples, np.float32), sample_rate, self.sample_rate_hz
            )
        embedding = self.embed_pieces([samples])
        if embedding is None and self._weight:
            raise ModelError("the network gives no direction for this recording", "Use another.")
        if embedding is None:
            raise AudioError("the recording is too short to embed", "Record at least one second.")
        return embedding

    def embed_pieces(self, pieces: Iterable[Float32]) -> Float32 | None:
        """Embed the pieces of one utterance, each (n,) as ``push`` takes them.

        Returns float32 (D,), L2 norm 1, or None when they are too short for one step.
        """
        self.reset()
        for piece in pieces:
            self.push(piece)
        return self.embedding
