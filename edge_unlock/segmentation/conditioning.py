"""What is taken out of the samples before they are judged: offset, rumble, mains hum."""

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_unlock.audio.source import SAMPLE_RATE_HZ, Samples
from edge_unlock.segmentation.filters import LinearFilter, high_pass, notch

CUTOFF_HZ: Final = 60.0
"""Voices begin at about 80 Hz. Measured: what is higher up to 100 Hz keeps no stranger out less
than 60 Hz does, but lets more in, since thresholds were learned without it."""

CUTOFF_ORDER: Final = 4

MAINS_HZ: Final = (50, 60)
HARMONICS: Final = 6
NOTCH_HZ: Final = 4.0
"""Mains keep their frequency within 0.2 Hz, their sixth harmonic within 1.2 Hz."""

BLOCK_SAMPLES: Final = 1_600
"""A tenth of a second: whole periods of either mains, so that hum has the same phase in each."""

COHERENT_BLOCKS: Final = 8
COHERENCE: Final = 0.9
"""How much of the power of 8 blocks must be in phase to be hum.

That noise is, has a probability of (1 - 0.9) ** 7; a voice does not keep a pitch so long.
"""

LEAST_AMPLITUDE: Final = 5e-4
"""Of full scale (-66 dBFS): what is softer does no harm."""

HOLD_BLOCKS: Final = 600
"""Hum is taken to last for a minute after it was found: while people speak it cannot be."""


class Conditioner:
    """Takes offset, rumble and mains hum out of a stream of 16 kHz mono.

    A high-pass filter always runs. Hum is filtered out only where there is some, because that
    costs a little of every voice; it is found within 0.8 s in which nobody speaks. The result
    does not depend on how the stream is divided.
    """

    def __init__(self) -> None:
        self._high_pass = LinearFilter(high_pass(CUTOFF_HZ / SAMPLE_RATE_HZ, CUTOFF_ORDER))
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next sample is the first."""
        self._high_pass.reset()
        self._detector = _HumDetector()
        self._notches: LinearFilter | None = None

    def push(self, samples: Samples) -> Samples:
        """Take the next samples (n,); the result has the same shape."""
        conditioned = self._high_pass.push(samples)
        position = 0
        while position < conditioned.size:
            piece = conditioned[position : position + self._detector.room]
            before = self._detector.mains_hz
            self._detector.push(piece)
            if self._notches is not None:
                conditioned[position : position + piece.size] = self._notches.push(piece)
            if self._detector.mains_hz != before:
                self._notches = self._tuned(self._detector.mains_hz)
            position += piece.size
        return conditioned

    def _tuned(self, mains_hz: int | None) -> LinearFilter | None:
        """Notches for the hum that was found, run in on what was heard last."""
        if mains_hz is None:
            return None
        notches = LinearFilter(
            tuple(
                notch(mains_hz * k / SAMPLE_RATE_HZ, NOTCH_HZ / SAMPLE_RATE_HZ)
                for k in range(1, HARMONICS + 1)
            )
        )
        notches.push(self._detector.recent)
        return notches


class _HumDetector:
    """Finds mains hum by its steady phase: ``mains_hz`` is that of the blocks that are complete."""

    def __init__(self) -> None:
        self.mains_hz: int | None = None
        self._block: Samples = np.zeros(BLOCK_SAMPLES, np.float32)
        self._filled = 0
        self._blocks: deque[Samples] = deque(maxlen=COHERENT_BLOCKS)
        self._lines: deque[NDArray[np.complex128]] = deque(maxlen=COHERENT_BLOCKS)
        self._hold = 0

    @property
    def room(self) -> int:
        """How many samples the block still takes."""
        return BLOCK_SAMPLES - self._filled

    @property
    def recent(self) -> Samples:
        """The blocks that were judged last, (n,)."""
        return np.concatenate(self._blocks)

    def push(self, samples: Samples) -> None:
        """Take samples (n,), no more than there is ``room`` for."""
        self._block[self._filled : self._filled + samples.size] = samples
        self._filled += samples.size
        if self._filled == BLOCK_SAMPLES:
            self._filled = 0
            self._judge(self._block.copy())

    def _judge(self, block: Samples) -> None:
        self._blocks.append(block)
        self._lines.append(_LINES @ block)
        self._hold -= 1
        if self._hold <= 0:
            self.mains_hz = None
        if len(self._lines) < COHERENT_BLOCKS:
            return
        lines = np.stack(self._lines)
        in_phase = np.abs(lines.mean(axis=0))
        power = np.square(np.abs(lines)).mean(axis=0)
        hum = (in_phase > LEAST_AMPLITUDE) & (np.square(in_phase) > COHERENCE * power)
        if hum.any():
            strongest = (in_phase * hum).max(axis=1).argmax()
            self.mains_hz = MAINS_HZ[int(strongest)]
            self._hold = HOLD_BLOCKS


_LINES: Final = np.exp(
    -2j
    * np.pi
    * np.multiply.outer(
        np.multiply.outer(MAINS_HZ, np.arange(1, HARMONICS)),  # 300 Hz belongs to both
        np.arange(BLOCK_SAMPLES) / SAMPLE_RATE_HZ,
    )
) * (2 / BLOCK_SAMPLES)
"""From a block to the amplitudes of the harmonics of either mains: (2, H, N)."""
