"""Voice conversion: a recording made to sound as if somebody else had spoken it.

The excitation (pitch, rhythm) stays the recorded one; what changes is the spectral envelope,
the 30 low cepstral coefficients of each short-time spectrum, which carries the vocal tract.
"""

from typing import NamedTuple

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor

WINDOW, HOP = 512, 128
LIFTER = 30
"""Cepstral coefficients of the spectral envelope: below the pitch of most voices."""
MATCHED = slice(1, 14)
"""The coefficients that are compared to find the same sound in another voice."""
NEIGHBOURS = 4
SMOOTHED = 5
"""Frames (8 ms each) over which a borrowed envelope is averaged, so that it does not rattle."""
GREATEST_GAIN = 6.0
"""Nepers by which a bin is raised or lowered at most."""


class Change(NamedTuple):
    """How a voice is changed.

    Factors of the speed, and of the formants at the bottom and at the top of the spectrum;
    ``borrowed`` is how much of the envelope comes from another voice, 0 to 1.
    """

    speed: float = 1.0
    formant_low: float = 1.0
    formant_high: float = 1.0
    borrowed: float = 0.0


NO_CHANGE = Change()


def change_voice(
    samples: NDArray[np.float32],
    rate_hz: int,
    change: Change,
    lender: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Samples (n,) with the envelope of ``lender`` (m,), at another speed, with other formants.

    The speed takes the pitch along, and the length: about ``n / change.speed`` samples come back.
    """
    if lender is not None and change.borrowed:
        samples = borrow_envelope(samples, lender, change.borrowed)
    played: NDArray[np.float32] = soxr.resample(
        samples, rate_hz, rate_hz / change.speed, quality="MQ"
    )
    return shift_formants(played.astype(np.float32), change.formant_low, change.formant_high)


def borrow_envelope(
    samples: NDArray[np.float32], lender: NDArray[np.float32], share: float
) -> NDArray[np.float32]:
    """Move the envelope of each frame of samples (n,) towards that of the same sound in another.

    The same sounds are the nearest frames of the lender (m,) once each voice's own mean and
    deviation are removed, as in kNN-VC (Baas et al., 2023), here with cepstra. A ``share``
    between 0 and 1 gives a voice between the two. The loudness stays.
    """
    if min(len(samples), len(lender)) <= WINDOW:
        return samples
    spectrum = _spectrum(samples)
    own, theirs = _cepstra(spectrum), _cepstra(_spectrum(lender))
    nearest = _standardized(own) @ _standardized(theirs).T
    found = nearest.topk(min(NEIGHBOURS, len(theirs)), dim=1).indices
    target = theirs[found].mean(1)
    moved = share * (target - own)
    moved[:, 0] = 0
    smooth = torch.nn.functional.avg_pool1d(
        moved.T[None], SMOOTHED, 1, SMOOTHED // 2, count_include_pad=False
    )[0].T
    return _signal(spectrum, _envelope(smooth).T, len(samples))


def shift_formants(samples: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """Stretch the spectral envelope of samples (n,) along frequency; keep the pitch.

    The factor goes from ``low`` at 0 Hz to ``high`` at half the rate.
    """
    if len(samples) <= WINDOW:
        return samples
    spectrum = _spectrum(samples)
    envelope = _envelope(_cepstra(spectrum)).T
    bins = len(envelope)
    source = (torch.arange(bins) / torch.linspace(low, high, bins)).clamp(max=bins - 1)
    below = source.floor().long()
    above = (below + 1).clamp(max=bins - 1)
    share = (source - below)[:, None]
    moved = envelope[below] * (1 - share) + envelope[above] * share
    return _signal(spectrum, moved - envelope, len(samples))


def _spectrum(samples: NDArray[np.float32]) -> Tensor:
    """The short-time spectrum (bins, T) of samples (n,)."""
    return torch.stft(
        torch.from_numpy(samples),
        WINDOW,
        HOP,
        window=torch.hann_window(WINDOW),
        return_complex=True,
    )


def _signal(spectrum: Tensor, log_gain: Tensor, length: int) -> NDArray[np.float32]:
    """The samples (length,) of a spectrum (bins, T), each bin raised by exp(log_gain)."""
    changed = spectrum * log_gain.clamp(-GREATEST_GAIN, GREATEST_GAIN).exp()
    samples: NDArray[np.float32] = torch.istft(
        changed, WINDOW, HOP, window=torch.hann_window(WINDOW), length=length
    ).numpy()
    return samples


def _cepstra(spectrum: Tensor) -> Tensor:
    """The low cepstral coefficients (T, LIFTER + 1) of a spectrum (bins, T)."""
    log_magnitude = (spectrum.abs() + 1e-6).log()
    every: Tensor = torch.fft.irfft(log_magnitude.to(torch.complex64), n=WINDOW, dim=0)
    return every[: LIFTER + 1].T


def _envelope(cepstra: Tensor) -> Tensor:
    """The log magnitudes (T, bins) that cepstra (T, LIFTER + 1) stand for."""
    both_sides = torch.zeros(len(cepstra), WINDOW)
    both_sides[:, : LIFTER + 1] = cepstra
    both_sides[:, -LIFTER:] = cepstra[:, 1:].flip(1)
    magnitudes: Tensor = torch.fft.rfft(both_sides, dim=1).real
    return magnitudes


def _standardized(cepstra: Tensor) -> Tensor:
    """The compared coefficients (T, C): without the mean of the voice, of deviation 1, norm 1.

    Loud frames only make mean and deviation, so that pauses do not.
    """
    compared = cepstra[:, MATCHED]
    loud = compared[cepstra[:, 0] >= cepstra[:, 0].median()]
    scaled = (compared - loud.mean(0)) / (loud.std(0) + 1e-3)
    return torch.nn.functional.normalize(scaled, dim=1)
