"""MFCC frames from a stream of samples, and their normalization.

The frames are those of ``python_speech_features.mfcc`` (its filterbank, its DCT), computed
once per stream instead of once per call, so that audio may arrive in pieces of any size.
"""

from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Positive = Annotated[int, msgspec.Meta(gt=0, le=2**18)]
"""Counts, sizes and rates of a front end; more is no speech's."""
Coefficients = Annotated[int, msgspec.Meta(gt=0, le=512)]
Moderate = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
"""Statistics of features: far more than any speech has, and finite."""


class FeatureSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that determines an MFCC frame; stored in the model manifest.

    ``window_samples`` (a Hamming window) and ``hop_samples`` are in samples at
    ``sample_rate_hz``; ``low_hz`` and ``high_hz`` bound the mel filterbank. No liftering is
    applied and the zeroth coefficient is not replaced by the energy.
    """

    sample_rate_hz: Positive = 16_000
    window_samples: Positive = 400
    hop_samples: Positive = 160
    fft_size: Positive = 512
    preemphasis: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.97
    filters: Coefficients = 40
    low_hz: Annotated[float, msgspec.Meta(ge=0)] = 20.0
    high_hz: Annotated[float, msgspec.Meta(gt=0)] = 8_000.0
    coefficients: Coefficients = 40

    def __post_init__(self) -> None:
        if self.window_samples > self.fft_size:
            raise ValueError("the FFT is shorter than the window")
        if self.coefficients > self.filters:
            raise ValueError("there are more coefficients than filters")
        if not self.low_hz < self.high_hz <= self.sample_rate_hz / 2:
            raise ValueError("the filterbank lies outside of the spectrum")


class MfccStream:
    """MFCC of a stream; only whole windows make a frame.

    (``mfcc`` of python_speech_features appends one more frame, padded with zeros, for what
    is left over; it tells nothing of the voice and is not made here.)
    """

    def __init__(self, spec: FeatureSpec) -> None:
        # imported here, because scipy takes longer than all else and manifests need none of it
        from python_speech_features.base import get_filterbanks  # noqa: PLC0415
        from scipy.fftpack import dct  # noqa: PLC0415

        self.spec = spec
        self._window = np.hamming(spec.window_samples)
        self._filterbank = get_filterbanks(
            spec.filters, spec.fft_size, spec.sample_rate_hz, spec.low_hz, spec.high_hz
        ).T
        self._dct = dct(np.eye(spec.filters), type=2, axis=1, norm="ortho")[:, : spec.coefficients]
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next sample is the first."""
        self._previous = 0.0
        self._pending = np.zeros(0)

    def push(self, samples: Float32) -> Float32:
        """Take samples (n,), in [-1, 1]; give the frames (m, coefficients) they complete."""
        spec = self.spec
        if samples.size:
            emphasized = samples.astype(np.float64)
            emphasized[1:] -= spec.preemphasis * samples[:-1]
            emphasized[0] -= spec.preemphasis * self._previous
            self._previous = float(samples[-1])
            self._pending = np.concatenate((self._pending, emphasized))
        count = 1 + (len(self._pending) - spec.window_samples) // spec.hop_samples
        if count < 1:
            return np.zeros((0, spec.coefficients), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(self._pending, spec.window_samples)
        frames = windows[:: spec.hop_samples][:count] * self._window
        self._pending = self._pending[count * spec.hop_samples :]
        power = np.abs(np.fft.rfft(frames, spec.fft_size)) ** 2 / spec.fft_size
        energy = power @ self._filterbank
        # log(0) is avoided as python_speech_features does it
        energy = np.where(energy == 0, np.finfo(float).eps, energy)
        cepstrum: Float32 = (np.log(energy) @ self._dct).astype(np.float32)
        return cepstrum


class Normalization(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Statistics of the training speech, one number a coefficient, and how they are applied.

    The mean that is subtracted from a frame is that of the stream so far, started at ``mean``
    with the weight of ``prior_frames`` frames (online cepstral mean normalization): the
    colour of a microphone is removed without waiting for the end of the utterance.

    Before all that a frame is clipped to ``mean`` plus or minus ``limit`` deviations: digital
    silence, whose logarithm lies far below any room's, would else spoil the running mean.
    """

    mean: tuple[Moderate, ...]
    deviation: tuple[Annotated[float, msgspec.Meta(ge=1e-6, le=1e6)], ...]
    prior_frames: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    limit: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 4.0

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.deviation):
            raise ValueError("mean and deviation differ in length")
        if not all(value > 0 for value in self.deviation):
            raise ValueError("deviations must be positive")


class NormalizationStream:
    """Applies a ``Normalization`` to the frames of one utterance as they come."""

    def __init__(self, normalization: Normalization) -> None:
        self._prior_frames = normalization.prior_frames
        self._prior_sum = normalization.prior_frames * np.asarray(normalization.mean)
        self._scale = 1 / np.asarray(normalization.deviation)
        reach = normalization.limit * np.asarray(normalization.deviation)
        self._lowest = np.asarray(normalization.mean) - reach
        self._highest = np.asarray(normalization.mean) + reach
        self.reset()

    def reset(self) -> None:
        """Start another utterance."""
        self._sum = self._prior_sum
        self._count = self._prior_frames

    def push(self, frames: Float32) -> Float32:
        """Normalize frames (m, coefficients); the result has the same shape."""
        if not len(frames):
            return frames
        frames = np.clip(frames, self._lowest, self._highest)
        sums = self._sum + np.cumsum(frames, axis=0, dtype=np.float64)
        counts = self._count + np.arange(1, len(frames) + 1)
        self._sum, self._count = sums[-1], counts[-1]
        normalized: Float32 = ((frames - sums / counts[:, None]) * self._scale).astype(np.float32)
        return normalized
