"""Pseudo-speakers: real voices at another speed and with other formants.

A changed voice is another voice to the teacher, too, which hears each of them anew. Variant
0 is the recorded voices.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from edge_unlock_convert.corpus import cut_pieces, read_corpus
from edge_unlock_convert.training.recipe import Recipe
from edge_unlock_convert.training.teacher import Teacher
from edge_unlock_convert.training.voices import VoiceSet

SPEEDS, FORMANTS = (0.8, 1.25), (0.9, 1.11)
LEAST_CHANGE = 0.07
"""Sum of the magnitudes of both natural-log factors: less is the same voice."""
LONGEST_S = 3.0
WINDOW, HOP = 512, 128
LIFTER = 30
"""Cepstral coefficients of the spectral envelope: below the pitch of most voices."""


def make(
    recipe: Recipe,
    speech: Path,
    directory: Path,
    variant: int,
    teacher: Teacher,
    report: Callable[[int], object],
) -> int:
    """Write the set ``v<variant>`` of voices into ``directory``; gives the number of pieces.

    Each speaker is changed in one way. ``report`` is told of each piece that was embedded.
    """
    rate_hz = recipe.features.sample_rate_hz
    generator = np.random.default_rng((recipe.seed, variant))
    changes: dict[str, tuple[float, float]] = {}
    pieces, embeddings, transforms = [], [], []
    for speaker, samples in cut_pieces(read_corpus(speech, "train"), rate_hz):
        change, voice = (1.0, 1.0), samples
        if variant:
            if speaker not in changes:
                changes[speaker] = draw_change(generator)
            change = changes[speaker]
            longest = int(LONGEST_S * rate_hz * change[0])
            start = int(generator.integers(max(1, len(samples) - longest + 1)))
            voice = change_voice(samples[start : start + longest], rate_hz, *change)
        embedding = teacher(voice, rate_hz)
        pieces.append((speaker, voice))
        embeddings.append(embedding / np.linalg.norm(embedding))
        transforms.append(change)
        report(1)
    VoiceSet.save(directory, f"v{variant}", pieces, np.stack(embeddings), transforms)
    return len(pieces)


def draw_change(generator: np.random.Generator) -> tuple[float, float]:
    """A random speed and formant factor, far enough from none."""
    while True:
        speed = float(np.exp(generator.uniform(*np.log(SPEEDS))))
        formant = float(np.exp(generator.uniform(*np.log(FORMANTS))))
        if abs(np.log(speed)) + abs(np.log(formant)) > LEAST_CHANGE:
            return speed, formant


def change_voice(
    samples: NDArray[np.float32], rate_hz: int, speed: float, formant: float
) -> NDArray[np.float32]:
    """Play samples (n,) ``speed`` times as fast (pitch and all), then move the formants."""
    played: NDArray[np.float32] = soxr.resample(samples, rate_hz, rate_hz / speed, quality="MQ")
    return shift_formants(played.astype(np.float32), formant)


def shift_formants(samples: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Stretch the spectral envelope (smoothed in the cepstrum) along frequency; keep the pitch."""
    import torch

    window, bins = torch.hann_window(WINDOW), WINDOW // 2 + 1
    if len(samples) <= WINDOW:
        return samples
    spectrum = torch.stft(
        torch.from_numpy(samples), WINDOW, HOP, window=window, return_complex=True
    )
    log_magnitude = (spectrum.abs() + 1e-6).log()
    cepstrum = torch.fft.irfft(log_magnitude.to(torch.complex64), n=WINDOW, dim=0)
    cepstrum[LIFTER + 1 : -LIFTER] = 0
    envelope = torch.fft.rfft(cepstrum, dim=0).real
    source = (torch.arange(bins) / factor).clamp(max=bins - 1)
    below = source.floor().long()
    above = (below + 1).clamp(max=bins - 1)
    share = (source - below)[:, None]
    moved = envelope[below] * (1 - share) + envelope[above] * share
    changed = spectrum * (moved - envelope).clamp(-6, 6).exp()
    shifted: NDArray[np.float32] = torch.istft(
        changed, WINDOW, HOP, window=window, length=len(samples)
    ).numpy()
    return shifted
