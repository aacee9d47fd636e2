"""The device's front end, between samples and the network: MFCC, normalization, stacking.

The computation is the device's own (``edge_unlock.encoder.features``); nothing is computed twice in
two ways.
"""

from collections.abc import Iterable

import msgspec
import numpy as np

from edge_unlock.encoder.features import (
    FeatureSpec,
    Float32,
    MfccStream,
    Normalization,
    NormalizationStream,
)
from edge_unlock.encoder.package import EncoderSpec
from edge_unlock_convert.errors import CheckpointError, SpeechError
from edge_unlock_convert.network import Network

PRIOR_FRAMES = 100.0
"""Weight of the training mean in the running mean when the checkpoint says none: one second."""


class FrontEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The contents of ``front_end.json``, written beside a checkpoint by its training."""

    features: FeatureSpec
    normalization: Normalization
    encoder: EncoderSpec

    def __post_init__(self) -> None:
        if len(self.normalization.mean) != self.features.coefficients:
            raise ValueError(
                f"`normalization.mean` has {len(self.normalization.mean)} numbers, "
                f"`features.coefficients` is {self.features.coefficients}"
            )

    @property
    def input_size(self) -> int:
        """Numbers in one recurrent step."""
        return self.features.coefficients * self.encoder.frames_stacked

    @property
    def steps_per_second(self) -> float:
        """Recurrent steps in a second of audio."""
        hop_s = self.features.hop_samples / self.features.sample_rate_hz
        return 1 / (hop_s * self.encoder.frames_stacked)

    def steps(self, samples: Float32) -> Float32:
        """Network inputs float32 (T, input_size) of mono samples (n,) in [-1, 1]."""
        frames = MfccStream(self.features).push(samples)
        frames = NormalizationStream(self.normalization).push(frames)
        count = len(frames) // self.encoder.frames_stacked
        return frames[: count * self.encoder.frames_stacked].reshape(count, self.input_size)

    def check_fits(self, network: Network) -> None:
        """Whether it is that of the network; ``CheckpointError`` says where it is not."""
        spec = self.encoder
        hint = "Give the front end that the network was trained with."
        if self.input_size != network.input_size:
            raise CheckpointError(
                f"the front end gives {self.input_size} numbers a step (coefficients times "
                f"frames stacked), the network takes {network.input_size}",
                hint,
            )
        if spec.embedding_size != network.embedding_size:
            raise CheckpointError(
                f"the front end speaks of embeddings of {spec.embedding_size} numbers, the network "
                f"gives {network.embedding_size}",
                hint,
            )
        if (spec.pooling == "attention") != (network.attention is not None):
            has = "an" if network.attention is not None else "no"
            raise CheckpointError(
                f"the pooling is {spec.pooling!r} and the network has {has} attention output",
                "Name its layer with --attention, or choose another --pooling.",
            )
        if network.pooling is not None and network.pooling != spec.pooling:
            raise CheckpointError(
                f"the pooling is {spec.pooling!r}, the checkpoint itself says {network.pooling!r}",
                hint,
            )


def measure_normalization(
    spec: FeatureSpec, utterances: Iterable[Float32], prior_frames: float = PRIOR_FRAMES
) -> Normalization:
    """Per-coefficient statistics of speech, for a checkpoint that came without a front end.

    The mean is that of all frames; the deviation is measured after the running mean was
    removed, so that the network's inputs have unit variance.
    """
    frames = [MfccStream(spec).push(samples) for samples in utterances]
    frames = [block for block in frames if len(block)]
    if not frames:
        raise SpeechError("the speech is too short to measure a normalization", "Give more of it.")
    mean = np.concatenate(frames).mean(axis=0, dtype=np.float64)
    unscaled = Normalization(
        mean=tuple(mean.tolist()),
        deviation=(1.0,) * len(mean),
        prior_frames=prior_frames,
        limit=float(np.finfo(np.float32).max),
    )
    centered = np.concatenate([NormalizationStream(unscaled).push(block) for block in frames])
    deviation = np.maximum(centered.std(axis=0, dtype=np.float64), 1e-3)
    return Normalization(
        mean=unscaled.mean, deviation=tuple(deviation.tolist()), prior_frames=prior_frames
    )
