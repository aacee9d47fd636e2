"""Streaming linear filters, as cascades of second-order sections."""

from functools import cache, reduce
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK_SAMPLES: Final = 128
"""So many samples are one matrix product, of a matrix that stays in the cache."""


class Section(NamedTuple):
    """A second-order section: y = b0 x + b1 x' + b2 x" - a1 y' - a2 y"."""

    b0: float
    b1: float
    b2: float
    a1: float
    a2: float


def high_pass(cutoff: float, order: int) -> tuple[Section, ...]:
    """A Butterworth high-pass filter of even order that has lost 3 dB at ``cutoff``.

    ``cutoff`` is a fraction of the sample rate, as all frequencies here. Coefficients:
    Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter coefficients", HPF.
    """
    angles = np.pi * np.arange(1, order, 2) / (2 * order)
    omega = 2 * np.pi * cutoff
    cosine = np.cos(omega)
    sections = []
    for angle in angles:
        alpha = np.sin(omega) * np.cos(angle)
        b0 = (1 + cosine) / 2 / (1 + alpha)
        sections.append(
            Section(b0, -2 * b0, b0, -2 * cosine / (1 + alpha), (1 - alpha) / (1 + alpha))
        )
    return tuple(sections)


def notch(frequency: float, bandwidth: float) -> Section:
    """Takes out ``frequency`` alone; half the power is lost at the edges of ``bandwidth``.

    The notch of the same cookbook; its bandwidth is exact where it is small.
    """
    omega = 2 * np.pi * frequency
    alpha = np.tan(np.pi * bandwidth)
    b0, middle = 1 / (1 + alpha), -2 * np.cos(omega) / (1 + alpha)
    return Section(b0, middle, b0, middle, (1 - alpha) / (1 + alpha))


class LinearFilter:
    """The cascade of ``sections`` over a stream.

    The result does not depend on how the stream is divided, to the last bit. The first sample is
    taken to have lasted for ever, so that an offset leaves no step at the start.
    """

    def __init__(self, sections: tuple[Section, ...]) -> None:
        self._matrices = _matrices(sections)
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next sample is the first."""
        self._state: NDArray[np.float64] | None = None  # before the block
        self._block = np.zeros(BLOCK_SAMPLES)
        self._filled = 0

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Filter the next samples (n,); the result has the same shape."""
        filtered = np.empty(samples.shape, np.float32)
        matrices = self._matrices
        position = 0
        while position < samples.size:
            if self._state is None:
                self._state = matrices.steady * float(samples[0])
            first, count = self._filled, min(BLOCK_SAMPLES - self._filled, samples.size - position)
            self._filled += count
            self._block[first : self._filled] = samples[position : position + count]
            # always the whole block, zeros and all: parts of it would be summed in another order
            result = matrices.output @ self._state + matrices.response @ self._block
            filtered[position : position + count] = result[first : self._filled]
            position += count
            if self._filled == BLOCK_SAMPLES:
                self._state = matrices.step @ self._state + matrices.input @ self._block
                self._block[:] = 0.0
                self._filled = 0
        return filtered


class _Matrices:
    """The filter over a block of N samples, of its state-space form s' = A s + B x, y = C s + D x.

    ``response`` (N, N): from samples to results; ``output`` (N, S): from the state to results;
    ``input`` (S, N) and ``step`` (S, S): from samples and state to the state after the block;
    ``steady`` (S,): the state after a 1 that lasted for ever.
    """

    def __init__(self, sections: tuple[Section, ...]) -> None:
        a, b, c, d = reduce(_cascade, map(_state_space, sections))
        powers = [np.eye(len(a))]
        for _ in range(BLOCK_SAMPLES):
            powers.append(a @ powers[-1])
        self.step = powers.pop()
        self.output = c @ np.stack(powers)
        self.input = (np.stack(powers) @ b)[::-1].T.copy()
        self.steady = np.linalg.solve(np.eye(len(a)) - a, b)
        impulse = np.concatenate(([d], self.output[:-1] @ b))
        delay = np.subtract.outer(np.arange(BLOCK_SAMPLES), np.arange(BLOCK_SAMPLES))
        self.response = np.where(delay >= 0, impulse[np.maximum(delay, 0)], 0.0)


_matrices = cache(_Matrices)

_Matrix = NDArray[np.float64]
_StateSpace = tuple[_Matrix, _Matrix, _Matrix, float]


def _state_space(section: Section) -> _StateSpace:
    """The section in transposed direct form II."""
    b0, b1, b2, a1, a2 = section
    return (
        np.array(((-a1, 1.0), (-a2, 0.0))),
        np.array((b1 - a1 * b0, b2 - a2 * b0)),
        np.array((1.0, 0.0)),
        b0,
    )


def _cascade(first: _StateSpace, second: _StateSpace) -> _StateSpace:
    """One system after the other, as one."""
    (a1, b1, c1, d1), (a2, b2, c2, d2) = first, second
    a = np.block([[a1, np.zeros((len(a1), len(a2)))], [np.outer(b2, c1), a2]])
    return a, np.concatenate((b1, b2 * d1)), np.concatenate((d2 * c1, c2)), d2 * d1
