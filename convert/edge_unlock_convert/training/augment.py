"""Disturbances of speech that leave the voice as it is, over a whole batch at once."""

from typing import Any

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
    synthetic noise. All is done on ``device``; what is drawn does not depend on it.
    """

    def __init__(
        self,
        settings: Augmentation,
        noise: NDArray[np.float32] | None,
        sample_rate_hz: int = 16_000,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.settings = settings
        self.sample_rate_hz = sample_rate_hz
        self._device = device
        self._rooms = self._tensor(room_responses(settings.rooms, sample_rate_hz, seed))
        synthetic = _coloured_noise(SYNTHETIC_NOISE_S * sample_rate_hz, seed)
        recorded = np.zeros(0, np.float32) if noise is None else noise.astype(np.float32)
        self._noise = self._tensor(np.concatenate((recorded, synthetic)))

    def samples(self, speech: Tensor, generator: np.random.Generator) -> Tensor:
        """Disturb speech (B, N) in [-1, 1]; the same shape, not longer in time."""
        settings, (rows, length) = self.settings, speech.shape
        heard = self._filtered(speech, generator)
        heard = self._mixed(heard, self._noise_pieces(rows, length, generator), generator)
        babble = self._chosen(rows, settings.babble, generator)
        if len(babble):
            other = _unit_power(speech)
            people = int(generator.integers(1, 4))
            crowd = torch.stack([other.roll(k + 1, 0) for k in range(people)]).sum(0)
            level = self._tensor(generator.uniform(*settings.babble_snr_db, len(babble)))
            heard[babble] += _at_snr(heard[babble], crowd[babble], level)
        heard = heard / heard.abs().amax(1, keepdim=True).clamp(min=1e-6)
        clipped = self._chosen(rows, settings.clipping, generator)
        limit = self._tensor(generator.uniform(0.1, 0.6, len(clipped)))[:, None]
        heard[clipped] = heard[clipped].clamp(-limit, limit) / limit
        lines = self._chosen(rows, settings.telephone, generator)
        if len(lines):
            heard[lines] = self._telephone(heard[lines], generator)
        for coded in (self._chosen(rows, settings.mu_law, generator), lines):
            heard[coded] = _mu_law(heard[coded])
        # none are drawn where there are none: recipes of before draw as before
        calls = self._chosen(rows, settings.call, generator) if settings.call else ()
        if len(calls):
            heard[calls] = self._call(heard[calls], generator)
        gain_db = self._tensor(generator.uniform(*settings.gain_db, rows))
        gained: Tensor = heard * (10 ** (gain_db / 20))[:, None]
        return gained

    def mask_bands(self, log_mel: Tensor, generator: np.random.Generator) -> Tensor:
        """Replace a band of filters by its mean over the batch (SpecAugment, before the DCT)."""
        rows, _, filters = log_mel.shape
        chosen = generator.random(rows) < self.settings.band_mask
        width = generator.integers(1, self.settings.band_mask_filters + 1, rows)
        start = (generator.random(rows) * (filters - width + 1)).astype(np.int64)
        masked = self._stretches(np.where(chosen, width, 0), start, filters)[:, None]
        return torch.where(masked, log_mel.mean((0, 1), keepdim=True), log_mel)

    def order(
        self, counts: NDArray[np.int64], frames: int, generator: np.random.Generator
    ) -> Tensor:
        """Where each of ``frames`` is taken from (B, frames): parts of some rows change places.

        The first ``counts`` (B,) frames of a row are speech. Where a person was recorded once, what
        is said tells who it is as well as the voice does; another order takes the sentence away and
        leaves its sounds.
        """
        taken = np.tile(np.arange(frames), (len(counts), 1))
        longest = self.settings.shuffle_frames
        for row in np.flatnonzero(generator.random(len(counts)) < self.settings.shuffle):
            count = int(counts[row])
            sizes = generator.integers(-(-longest // 3), longest + 1, 1 + 3 * count // longest)
            parts = np.split(np.arange(count), np.cumsum(sizes))
            taken[row, :count] = np.concatenate(
                [parts[part] for part in generator.permutation(len(parts))]
            )
        return torch.from_numpy(taken).to(self._device)

    def mask_steps(self, features: Tensor, generator: np.random.Generator) -> Tensor:
        """Silence (zero is the mean) a stretch of steps of features (B, T, F)."""
        rows, steps, _ = features.shape
        chosen = generator.random(rows) < self.settings.time_mask
        width = generator.integers(0, min(self.settings.time_mask_steps, steps // 3) + 1, rows)
        start = (generator.random(rows) * (steps - width + 1)).astype(np.int64)
        masked = self._stretches(np.where(chosen, width, 0), start, steps)
        return features.masked_fill(masked[:, :, None], 0)

    def _filtered(self, speech: Tensor, generator: np.random.Generator) -> Tensor:
        """Rooms, microphone colours and low-passes: one product in the frequency domain."""
        settings, (rows, length) = self.settings, speech.shape
        size = _fast_size(length + self._rooms.shape[1])
        bins = size // 2 + 1
        response = torch.ones(rows, bins, dtype=torch.complex64, device=self._device)
        roomy = self._chosen(rows, settings.room, generator)
        if len(roomy):
            picked = torch.from_numpy(generator.integers(0, len(self._rooms), len(roomy)))
            response[roomy] = torch.fft.rfft(self._rooms[picked.to(self._device)], size)
        coloured = self._chosen(rows, settings.colour, generator)
        bends = generator.uniform(-settings.colour_db, settings.colour_db, (len(coloured), 1, 8))
        if len(coloured):
            curve = torch.nn.functional.interpolate(
                self._tensor(bends), bins, mode="linear", align_corners=True
            )
            response[coloured] *= (10 ** (curve[:, 0] / 20)).to(torch.complex64)
        dull = self._chosen(rows, settings.low_pass, generator)
        edges_hz = self._tensor(generator.uniform(3200, 7000, len(dull)))
        response[dull] *= self._low_pass(edges_hz, size, 0.01)
        return _through(response, speech, size)

    def _telephone(self, speech: Tensor, generator: np.random.Generator) -> Tensor:
        """The band of a telephone line (ITU-T G.712), whose edges vary."""
        rows, length = speech.shape
        size = _fast_size(length + 1)
        low_hz = self._tensor(generator.uniform(50, 350, rows))
        high_hz = self._tensor(generator.uniform(3300, 3900, rows))
        response = self._low_pass(high_hz, size, 0.005) * (1 - self._low_pass(low_hz, size, 0.003))
        heard = _through(response, speech, size)
        return heard / heard.abs().amax(1, keepdim=True).clamp(min=1e-6)

    def _call(self, speech: Tensor, generator: np.random.Generator) -> Tensor:
        """A telephone line at 8 kHz (ITU-T G.711): nothing at all is heard above its band."""
        rows, length = speech.shape
        size = _fast_size(length + 1)
        coded = _mu_law(self._telephone(speech, generator))
        response = self._low_pass(torch.full((rows,), 3_950.0, device=self._device), size, 0.002)
        return _through(response, coded, size)

    def _low_pass(self, edges_hz: Tensor, size: int, width: float) -> Tensor:
        """Responses (B, size // 2 + 1) that fall at the edges (B,), over that share of the bins."""
        bins = size // 2 + 1
        numbers = torch.arange(bins, device=self._device)
        edges = edges_hz[:, None] / self.sample_rate_hz * size
        return torch.sigmoid((edges - numbers) / (width * bins)).to(torch.complex64)

    def _noise_pieces(self, rows: int, length: int, generator: np.random.Generator) -> Tensor:
        starts = generator.integers(0, len(self._noise) - length + 1, rows)
        pieces: Tensor = self._noise.unfold(0, length, 1)[torch.from_numpy(starts).to(self._device)]
        return pieces

    def _mixed(self, speech: Tensor, noise: Tensor, generator: np.random.Generator) -> Tensor:
        rows = self._chosen(len(speech), self.settings.noise, generator)
        snr_db = self._tensor(generator.uniform(*self.settings.noise_snr_db, len(rows)))
        mixed = speech.clone()
        mixed[rows] += _at_snr(speech[rows], noise[rows], snr_db)
        return mixed

    def _chosen(self, rows: int, probability: float, generator: np.random.Generator) -> Tensor:
        """The numbers of some of the ``rows``."""
        chosen = np.flatnonzero(generator.random(rows) < probability)
        return torch.from_numpy(chosen).to(self._device)

    def _stretches(self, width: NDArray[np.int64], start: NDArray[np.int64], length: int) -> Tensor:
        """Which of ``length`` places (B, length) lie in each row's stretch."""
        places = np.arange(length)
        inside = (places >= start[:, None]) & (places < (start + width)[:, None])
        return torch.from_numpy(inside).to(self._device)

    def _tensor(self, values: NDArray[np.floating[Any]]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self._device)


def _through(response: Tensor, signal: Tensor, size: int) -> Tensor:
    """A signal (B, N) through a frequency response (B, size // 2 + 1), cut to its length."""
    heard: Tensor = torch.fft.irfft(torch.fft.rfft(signal, size) * response, size)
    return heard[:, : signal.shape[1]]


def _unit_power(signal: Tensor) -> Tensor:
    return signal / signal.square().mean(1, keepdim=True).sqrt().clamp(min=1e-6)


def _at_snr(speech: Tensor, noise: Tensor, snr_db: Tensor) -> Tensor:
    """The noise, scaled to lie ``snr_db`` (B,) below the speech in power."""
    level = speech.square().mean(1, keepdim=True).sqrt()
    scaled: Tensor = _unit_power(noise) * level * (10 ** (-snr_db / 20))[:, None]
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
