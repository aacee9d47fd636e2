"""The device's front end over a batch: ``edge_unlock.encoder.features`` in PyTorch.

A test proves both equal. Rows of a batch may differ in length: everything is causal, so
what follows the end of a row does not change the frames before it.
"""

import numpy as np
import torch
from python_speech_features.base import get_filterbanks
from scipy.fftpack import dct
from torch import Tensor

from edge_unlock.encoder.features import FeatureSpec, Normalization


class FrontEnd:
    """Samples to normalized, stacked MFCC frames."""

    def __init__(
        self,
        spec: FeatureSpec,
        frames_stacked: int,
        normalization: Normalization | None = None,
        device: str = "cpu",
    ) -> None:
        self.spec = spec
        self.device = device
        self.frames_stacked = frames_stacked
        self.normalization = normalization
        self._window = torch.from_numpy(np.hamming(spec.window_samples)).float().to(device)
        bank = get_filterbanks(
            spec.filters, spec.fft_size, spec.sample_rate_hz, spec.low_hz, spec.high_hz
        )
        self._filterbank = torch.from_numpy(bank.T / spec.fft_size).float().to(device)
        basis = dct(np.eye(spec.filters), type=2, axis=1, norm="ortho")[:, : spec.coefficients]
        self._dct = torch.from_numpy(basis).float().to(device)

    def log_mel(self, samples: Tensor) -> Tensor:
        """Samples (B, N) in [-1, 1] to natural-log filterbank energies (B, frames, filters)."""
        spec = self.spec
        emphasized = samples.clone()
        emphasized[:, 1:] -= spec.preemphasis * samples[:, :-1]
        frames = emphasized.unfold(1, spec.window_samples, spec.hop_samples) * self._window
        spectrum = torch.view_as_real(torch.fft.rfft(frames, spec.fft_size))
        energy = spectrum.square().sum(-1) @ self._filterbank
        floor = torch.finfo(torch.float64).eps
        return torch.where(energy == 0, floor, energy).log()

    def cepstrum(self, log_mel: Tensor) -> Tensor:
        """Log filterbank energies (B, frames, filters) to MFCC (B, frames, coefficients)."""
        return log_mel @ self._dct

    def normalize(self, cepstrum: Tensor) -> Tensor:
        """What ``NormalizationStream`` does to each row (B, frames, coefficients)."""
        if self.normalization is None:
            raise ValueError("the statistics of the training speech are not known yet")
        mean = torch.tensor(self.normalization.mean, device=self.device)
        deviation = torch.tensor(self.normalization.deviation, device=self.device)
        reach = self.normalization.limit * deviation
        centered = torch.clamp(cepstrum - mean, -reach, reach)
        numbers = torch.arange(1, cepstrum.shape[1] + 1, device=self.device)
        count = numbers + self.normalization.prior_frames
        return (centered - centered.cumsum(1) / count[:, None]) / deviation

    def stack(self, frames: Tensor) -> Tensor:
        """Frames (B, frames, F) to the steps of the network (B, steps, stacked * F)."""
        steps = frames.shape[1] // self.frames_stacked
        return frames[:, : steps * self.frames_stacked].reshape(len(frames), steps, -1)

    def steps(self, lengths: Tensor) -> Tensor:
        """How many whole steps rows of that many samples (B,) have."""
        frames = 1 + (lengths - self.spec.window_samples) // self.spec.hop_samples
        return frames.clamp(min=0) // self.frames_stacked

    def __call__(self, samples: Tensor) -> Tensor:
        """Samples (B, N) to the input of the network (B, steps, stacked * coefficients)."""
        return self.stack(self.normalize(self.cepstrum(self.log_mel(samples))))
