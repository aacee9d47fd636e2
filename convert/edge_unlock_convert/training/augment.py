"""Disturbances of speech that leave the voice as it is, over a whole batch at once."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_unlock_convert.training.recipe import Augmentation
from edge_unlock_convert.training.rooms import room_responses

SYNTHETIC_NOISE_S = 60
"""Seconds of coloured noise that are added to the recorded noises."""


class Augmenter:
    """Applies an ``Augmentation``; what it does follows from the generator it is given.

    ``noise`` is one long recording (n,) in [-1, 1], of which pieces are taken besides those of
    synthetic noise.
    """

    def __init__(
        self,
        settings: Augmentation,
        noise: NDArray[np.float32] | None,
        sample_rate_hz: int = 16_000,
        seed: int = 0,
    ) -> None:
        self.settings = settings
        self.sample_rate_hz = sample_rate_hz
        self._rooms = torch.from_numpy(room_responses(settings.rooms, sample_rate_hz, seed))
        synthetic = _coloured_noise(SYNTHETIC_NOISE_S * sample_rate_hz, seed)
        recorded = np.zeros(0, np.float32) if noise is None else noise.astype(np.float32)
        self._noise = torch.from_numpy(np.concatenate((recorded, synthetic)))

    def samples(self, speech: Tensor, generator: np.random.Generator) -> Tensor:
        """Disturb speech (B, N) in [-1, 1]; the same shape, not longer in time."""
        rows, length = speech.shape
        heard = self._filtered(speech, generator)
        heard = self._mixed(heard, self._noise_pieces(rows, length, generator), generator)
        babble = _chosen(rows, self.settings.babble, generator)
        if len(babble):
            other = _unit_power(speech)
            people = int(generator.integers(1, 4))
            crowd = torch.stack([other.roll(k + 1, 0) for k in range(people)]).sum(0)
            snr_db = generator.uniform(*self.settings.babble_snr_db, len(babble))
            heard[babble] += _at_snr(heard[babble], crowd[babble], snr_db)
        heard = heard / heard.abs().amax(1, keepdim=True).clamp(min=1e-6)
        for row in _chosen(rows, self.settings.clipping, generator).tolist():
            limit = float(generator.uniform(0.1, 0.6))
            heard[row] = heard[row].clamp(-limit, limit) / limit
        for row in _chosen(rows, self.settings.mu_law, generator).tolist():
            heard[row] = _mu_law(heard[row])
        gain_db = generator.uniform(*self.settings.gain_db, rows)
        return heard * torch.from_numpy(10 ** (gain_db / 20)).float()[:, None]

    def mask_bands(self, log_mel: Tensor, generator: np.random.Generator) -> Tensor:
        """Replace a band of filters by its mean over the batch (SpecAugment, before the DCT)."""
        widest = self.settings.band_mask_filters
        filters = log_mel.shape[2]
        masked = torch.zeros(len(log_mel), 1, filters, dtype=torch.bool)
        for row in _chosen(len(log_mel), self.settings.band_mask, generator).tolist():
            width = int(generator.integers(1, widest + 1))
            start = int(generator.integers(0, filters - width + 1))
            masked[row, 0, start : start + width] = True
        return torch.where(masked, log_mel.mean((0, 1), keepdim=True), log_mel)

    def shuffle(self, log_mel: Tensor, frames: Tensor, generator: np.random.Generator) -> Tensor:
        """Change the order of parts of the speech (B, T, filters), of which ``frames`` (B,) count.

        Where a person was recorded once, what is said tells who it is as well as the voice
        does; this takes the sentence away and leaves its sounds.
        """
        log_mel = log_mel.clone()
        longest = self.settings.shuffle_frames
        for row in _chosen(len(log_mel), self.settings.shuffle, generator).tolist():
            count = int(frames[row])
            sizes = generator.integers(-(-longest // 3), longest + 1, 1 + 3 * count // longest)
            parts = np.split(np.arange(count), np.cumsum(sizes))
            order = np.concatenate([parts[part] for part in generator.permutation(len(parts))])
            log_mel[row, :count] = log_mel[row, torch.from_numpy(order)]
        return log_mel

    def mask_steps(self, features: Tensor, generator: np.random.Generator) -> Tensor:
        """Silence (zero is the mean) a stretch of steps of features (B, T, F)."""
        features = features.clone()
        longest = min(self.settings.time_mask_steps, features.shape[1] // 3)
        for row in _chosen(len(features), self.settings.time_mask, generator).tolist():
            width = int(generator.integers(0, longest + 1))
            start = int(generator.integers(0, features.shape[1] - width + 1))
            features[row, start : start + width] = 0
        return features

    def _filtered(self, speech: Tensor, generator: np.random.Generator) -> Tensor:
        """Rooms, microphone colours and low-passes: one product in the frequency domain."""
        settings, (rows, length) = self.settings, speech.shape
        size = _fast_size(length + self._rooms.shape[1])
        bins = size // 2 + 1
        response = torch.ones(rows, bins, dtype=torch.complex64)
        roomy = _chosen(rows, settings.room, generator)
        if len(roomy):
            picked = torch.from_numpy(generator.integers(0, len(self._rooms), len(roomy)))
            response[roomy] = torch.fft.rfft(self._rooms[picked], size)
        coloured = _chosen(rows, settings.colour, generator)
        bends = torch.from_numpy(
            generator.uniform(-settings.colour_db, settings.colour_db, (len(coloured), 1, 8))
        )
        curve = torch.nn.functional.interpolate(
            bends.float(), bins, mode="linear", align_corners=True
        )
        response[coloured] *= (10 ** (curve[:, 0] / 20)).to(torch.complex64)
        for row in _chosen(rows, settings.low_pass, generator).tolist():
            edge = generator.uniform(3200, 7000) / self.sample_rate_hz * size
            slope = torch.sigmoid((edge - torch.arange(bins)) / (0.01 * bins))
            response[row] *= slope.to(torch.complex64)
        heard: Tensor = torch.fft.irfft(torch.fft.rfft(speech, size) * response, size)
        return heard[:, :length]

    def _noise_pieces(self, rows: int, length: int, generator: np.random.Generator) -> Tensor:
        starts = generator.integers(0, len(self._noise) - length + 1, rows)
        return torch.stack([self._noise[start : start + length] for start in starts.tolist()])

    def _mixed(self, speech: Tensor, noise: Tensor, generator: np.random.Generator) -> Tensor:
        rows = _chosen(len(speech), self.settings.noise, generator)
        snr_db = generator.uniform(*self.settings.noise_snr_db, len(rows))
        mixed = speech.clone()
        mixed[rows] += _at_snr(speech[rows], noise[rows], snr_db)
        return mixed


def _chosen(rows: int, probability: float, generator: np.random.Generator) -> Tensor:
    return torch.from_numpy(np.flatnonzero(generator.random(rows) < probability))


def _unit_power(signal: Tensor) -> Tensor:
    return signal / signal.square().mean(1, keepdim=True).sqrt().clamp(min=1e-6)


def _at_snr(speech: Tensor, noise: Tensor, snr_db: NDArray[np.float64]) -> Tensor:
    """The noise, scaled to lie ``snr_db`` (B,) below the speech in power."""
    level = speech.square().mean(1, keepdim=True).sqrt()
    ratio = torch.from_numpy(10 ** (-snr_db / 20)).float()[:, None]
    scaled: Tensor = _unit_power(noise) * level * ratio
    return scaled


def _mu_law(signal: Tensor) -> Tensor:
    """To the 8 bits of ITU-T G.711's mu-law curve and back."""
    mu = 255.0
    squeezed = signal.sign() * torch.log1p(mu * signal.abs()) / np.log1p(mu)
    coarse = (squeezed * 127).round() / 127
    spread: Tensor = coarse.sign() * torch.expm1(coarse.abs() * np.log1p(mu)) / mu
    return spread


def _coloured_noise(samples: int, seed: int) -> NDArray[np.float32]:
    """Noise whose spectrum falls by 0 to 6 dB an octave, another slope each second."""
    generator = np.random.default_rng(seed)
    pieces = []
    for _ in range(0, samples, 16_000):
        spectrum = np.fft.rfft(generator.normal(size=16_000))
        spectrum /= np.maximum(np.arange(len(spectrum)), 20) ** generator.uniform(0, 1)
        piece = np.fft.irfft(spectrum)
        pieces.append(0.1 * piece / piece.std())
    noise: NDArray[np.float32] = np.concatenate(pieces)[:samples].astype(np.float32)
    return noise


def _fast_size(length: int) -> int:
    """The next length whose only prime factors are 2, 3 and 5, for the FFT."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
