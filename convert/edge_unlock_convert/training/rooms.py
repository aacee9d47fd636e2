"""Impulse responses of made-up rooms, by the image-source method.

J. B. Allen and D. A. Berkley, "Image method for efficiently simulating small-room acoustics"
(1979), with one reflection coefficient for all walls and whole-sample delays.
"""

import numpy as np
from numpy.typing import NDArray

SPEED_OF_SOUND_MPS = 343.0
LENGTH_S = 0.4
"""Reflections later than this are left out."""


def room_responses(count: int, sample_rate_hz: int, seed: int) -> NDArray[np.float32]:
    """``count`` rooms of 2.5-8 m: float32 (count, LENGTH_S * rate), energy 1 each.

    The direct sound is at sample 0, so that a room does not delay the speech.
    """
    generator = np.random.default_rng(seed)
    return np.stack([_response(generator, sample_rate_hz) for _ in range(count)])


def _response(generator: np.random.Generator, sample_rate_hz: int) -> NDArray[np.float32]:
    size = generator.uniform((2.5, 2.5, 2.3), (8.0, 6.0, 3.5))
    microphone = generator.uniform(0.3, size - 0.3)
    direction = generator.normal(size=3)
    distance = generator.uniform(0.3, 2.5)
    speaker = np.clip(
        microphone + distance * direction / np.linalg.norm(direction), 0.2, size - 0.2
    )
    decay_s = generator.uniform(0.15, 0.6)
    volume, surface = np.prod(size), 2 * (size[0] * size[1] + size[1] * size[2] + size[0] * size[2])
    absorption = min(0.161 * volume / surface / decay_s, 0.95)  # Sabine
    reflection = np.sqrt(1 - absorption)
    length = int(LENGTH_S * sample_rate_hz)
    orders = [np.arange(-n, n + 1) for n in np.ceil(LENGTH_S * 343 / size / 2).astype(int)]
    axes = []
    for axis, order in enumerate(orders):
        # even images repeat the source, odd ones mirror it at a wall
        shifts = np.concatenate(
            (2 * order * size[axis] + speaker[axis], 2 * order * size[axis] - speaker[axis])
        )
        bounces = np.concatenate((np.abs(2 * order), np.abs(2 * order - 1)))
        axes.append(((shifts - microphone[axis]) ** 2, bounces))
    squared = axes[0][0][:, None, None] + axes[1][0][None, :, None] + axes[2][0][None, None]
    bounces = axes[0][1][:, None, None] + axes[1][1][None, :, None] + axes[2][1][None, None]
    path = np.sqrt(squared).ravel()
    amplitude = reflection ** bounces.ravel() / np.maximum(path, 0.1)
    # walls are not mirrors: without random signs late reflections add up to a comb
    sign = np.where(bounces.ravel() == 0, 1, generator.choice((-1, 1), path.size))
    delay = np.rint((path - path.min()) / SPEED_OF_SOUND_MPS * sample_rate_hz).astype(np.int64)
    kept = delay < length
    response = np.bincount(delay[kept], (amplitude * sign)[kept], minlength=length)
    return (response / np.linalg.norm(response)).astype(np.float32)
