"""Features as the usual libraries compute them, of whole utterances.

The device cannot compute these; they are what a fold into the weights is measured against.
"""

import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.front_end.description import Description

Floats = NDArray[np.float64]

SLANEY_LINEAR_HZ, SLANEY_LINEAR_MEL, SLANEY_STEP = 1000.0, 15.0, np.log(6.4) / 27
"""Slaney's mel scale: 3 mel in 200 Hz up to 1 kHz, then 27 in each factor of 6.4."""


def frames(description: Description, samples: Float32) -> Floats:
    """Frames (m, size) of mono samples (n,) in [-1, 1], before normalization over time."""
    windows = _windows(description, samples.astype(np.float64) * description.sample_scale)
    loudness = np.square(windows).sum(axis=1)
    if description.preemphasis_over == "frame":
        first = windows[:, :1] * (1 - description.preemphasis)
        rest = windows[:, 1:] - description.preemphasis * windows[:, :-1]
        windows = np.concatenate((first, rest), axis=1)
    spectrum = np.abs(np.fft.rfft(windows * _window(description), description.fft_size))
    if description.spectrum != "magnitude":
        spectrum = spectrum**2
    if description.spectrum == "power-per-bin":
        spectrum /= description.fft_size
    mel: Floats = spectrum @ filterbank(description).T
    if description.kind == "mel":
        return mel
    logarithms = _logarithm(description, mel)
    if description.kind == "log-mel":
        return logarithms
    cepstra = logarithms @ cepstral_matrix(description)
    if description.energy != "none":
        energy = loudness if description.energy == "samples" else spectrum.sum(axis=1)
        cepstra[:, 0] = np.log(np.maximum(energy, np.finfo(float).eps))
    return cepstra


def normalize(description: Description, unnormalized: Floats) -> Floats:
    """Apply the normalization of the training to the frames (m, size) of one utterance."""
    if description.normalization == "none" or not len(unnormalized):
        return unnormalized
    if description.mean is not None and description.deviation is not None:
        centered: Floats = unnormalized - np.asarray(description.mean)
        return np.asarray(centered / np.asarray(description.deviation))
    centered = unnormalized - unnormalized.mean(axis=0)
    if description.normalization == "mean":
        return centered
    return np.asarray(centered / np.maximum(unnormalized.std(axis=0), 1e-10))


def cepstral_matrix(description: Description) -> Floats:
    """What logarithms (m, filters) are multiplied with: the DCT and the lifter, (filters, size)."""
    from scipy.fftpack import dct

    matrix = dct(np.eye(description.filters), type=2, axis=1, norm="ortho")[:, : description.size]
    if description.lifter:
        order = np.arange(description.size)
        matrix = matrix * (1 + description.lifter / 2 * np.sin(np.pi * order / description.lifter))
    return np.asarray(matrix)


def filterbank(description: Description) -> Floats:
    """The mel filters, (filters, fft_size // 2 + 1)."""
    low_hz, high_hz = description.low_hz, description.high_hz or description.sample_rate_hz / 2
    if description.filter_shape == "bins":
        from python_speech_features.base import get_filterbanks

        rate_hz = description.sample_rate_hz
        bank = get_filterbanks(description.filters, description.fft_size, rate_hz, low_hz, high_hz)
        return np.asarray(bank)
    low, high = _to_mel(description, np.array([low_hz, high_hz]))
    mels: Floats = np.linspace(low, high, description.filters + 2)
    corners = corners_hz = _to_hz(description, mels)
    bins = np.fft.rfftfreq(description.fft_size, 1 / description.sample_rate_hz)
    if description.filter_shape == "mel":
        corners, bins = mels, _to_mel(description, bins)
    left, center, right = (corners[k : k + description.filters, None] for k in range(3))
    bank = np.maximum(
        0, np.minimum((bins - left) / (center - left), (right - bins) / (right - center))
    )
    if description.filter_area:
        bank *= (2 / (corners_hz[2:] - corners_hz[:-2]))[:, None]
    return np.asarray(bank)


def _windows(description: Description, samples: Floats) -> Floats:
    """The stretches (m, window_samples) that frames are made of."""
    size = description.window_samples
    if description.preemphasis_over == "stream" and description.preemphasis:
        samples = np.append(samples[:1], samples[1:] - description.preemphasis * samples[:-1])
    if description.padding != "none" and len(samples):
        # centred in an FFT's length, of which half is added at either end
        half = description.fft_size // 2
        mirror = description.padding == "reflect" and len(samples) > half
        samples = np.pad(samples, half, mode="reflect" if mirror else "constant")
        before = (description.fft_size - size) // 2
        samples = samples[before : len(samples) - (description.fft_size - size - before)]
    if len(samples) < size:
        return np.zeros((0, size))
    windows = np.lib.stride_tricks.sliding_window_view(samples, size)[:: description.hop_samples]
    if description.remove_offset:
        windows = windows - windows.mean(axis=1, keepdims=True)
    return np.asarray(windows)


def _window(description: Description) -> Floats:
    name, size = description.window, description.window_samples
    if name == "rectangular":
        return np.ones(size)
    if name.endswith("-periodic"):
        return _SHAPES[name.removesuffix("-periodic")](size + 1)[:-1]
    return _SHAPES[name](size)


def _povey(size: int) -> Floats:
    return np.asarray(np.hanning(size) ** 0.85)


_SHAPES = {
    "hamming": np.hamming,
    "hann": np.hanning,
    "blackman": np.blackman,
    "povey": _povey,
}


def _logarithm(description: Description, mel: Floats) -> Floats:
    least = max(description.log_least, 0.0 if description.log_added else np.finfo(float).eps)
    values = np.log(np.maximum(mel + description.log_added, least))
    if description.log_range_db is not None and len(values):
        values = np.maximum(values, values.max() - description.log_range_db * np.log(10) / 10)
    return np.asarray(values * log_scale(description))


def log_scale(description: Description) -> float:
    """What a natural logarithm is multiplied with."""
    tens = {"natural": None, "log10": 1, "decibel": 10}[description.log]
    return float(tens / np.log(10)) if tens else 1.0


def _to_mel(description: Description, hz: Floats) -> Floats:
    if description.mel_scale == "htk":
        return np.asarray(2595 * np.log10(1 + hz / 700))
    above = np.log(np.maximum(hz, SLANEY_LINEAR_HZ) / SLANEY_LINEAR_HZ) / SLANEY_STEP
    linear = hz * SLANEY_LINEAR_MEL / SLANEY_LINEAR_HZ
    return np.where(hz < SLANEY_LINEAR_HZ, linear, SLANEY_LINEAR_MEL + above)


def _to_hz(description: Description, mel: Floats) -> Floats:
    if description.mel_scale == "htk":
        return np.asarray(700 * (10 ** (mel / 2595) - 1))
    above = SLANEY_LINEAR_HZ * np.exp(SLANEY_STEP * (mel - SLANEY_LINEAR_MEL))
    linear = mel * SLANEY_LINEAR_HZ / SLANEY_LINEAR_MEL
    return np.where(mel < SLANEY_LINEAR_MEL, linear, above)
