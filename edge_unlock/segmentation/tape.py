"""The latest samples of a stream, addressed by their place in it."""

from typing import Final

import numpy as np

from edge_unlock.audio.source import Samples

FIRST_SAMPLES: Final = 16_384  # a second; it grows as it must


class Tape:
    """Holds the samples from ``start`` to ``end``, counted from where the stream began."""

    def __init__(self) -> None:
        self.start = 0
        self.end = 0
        self._buffer: Samples = np.empty(FIRST_SAMPLES, np.float32)

    def append(self, block: Samples) -> None:
        """Add the next samples, float32 ``(n,)``."""
        length = self.end - self.start
        if length + block.size > self._buffer.size:
            grown = np.empty(2 * (length + block.size), np.float32)
            grown[:length] = self._buffer[:length]
            self._buffer = grown
        self._buffer[length : length + block.size] = block
        self.end += block.size

    def view(self, start: int, end: int) -> Samples:
        """Those from ``start`` to ``end``, read-only; good until the next call."""
        view = self._buffer[start - self.start : end - self.start]
        view.flags.writeable = False
        return view

    def forget(self, before: int) -> None:
        """Drop what lies before."""
        if before > self.start:
            kept = self.view(before, self.end)
            self._buffer[: kept.size] = kept
            self.start = before
