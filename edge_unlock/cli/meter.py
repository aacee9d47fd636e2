"""A level meter that moves while somebody speaks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from edge_unlock.audio import Samples, SampleSource
from edge_unlock.audio.source import SAMPLE_RATE_HZ
from edge_unlock.closing import Closing
from edge_unlock.segmentation.conditioning import Conditioner
from edge_unlock.segmentation.quality import ENROLL_LIMITS, Fault
from edge_unlock.segmentation.segment import CLIPPED_LEVEL, dbfs

WIDTH: Final = 30
LOWEST_DBFS: Final = -60.0
REFRESH_S: Final = 0.1
MEMORY_S: Final = 5.0
"""The softest within so long is taken for the noise of the room."""

RECENT_S: Final = 1.0
"""What was clipped is told for so long, and the loudest within it is the voice."""


class Meter(Closing):
    """A source that passes on another's blocks and draws their level with ``draw``.

    ``in_speech`` tells whether somebody is speaking: only then a level can be too low.
    """

    def __init__(
        self, source: SampleSource, in_speech: Callable[[], bool], draw: Callable[[str], None]
    ) -> None:
        self.name = source.name
        self.overruns = source.overruns
        self._source = source
        self._in_speech = in_speech
        self._draw = draw
        self._conditioner = Conditioner()
        self._waiting: list[Samples] = []
        self._levels_dbfs: deque[float] = deque(maxlen=round(MEMORY_S / REFRESH_S))
        self._recent = round(RECENT_S / REFRESH_S)
        self._since_clipped = self._recent

    def blocks(self) -> Iterator[Samples]:
        """Yield the source's blocks; see `SampleSource.blocks`."""
        for block in self._source.blocks():
            self.overruns = self._source.overruns
            self._waiting.append(block)
            if sum(one.size for one in self._waiting) >= REFRESH_S * SAMPLE_RATE_HZ:
                self._draw(self._line(np.concatenate(self._waiting)))
                self._waiting = []
            yield block

    def close(self) -> None:
        """Close the source, and leave no half-drawn meter behind."""
        self._draw(" " * (WIDTH + 40))
        self._source.close()

    def _line(self, samples: Samples) -> str:
        """The meter for the latest samples (n,): a bar, the level, and what is wrong with it."""
        level_dbfs = dbfs(float(np.square(self._conditioner.push(samples)).mean()))
        self._levels_dbfs.append(level_dbfs)
        clipped = np.abs(samples).max() >= CLIPPED_LEVEL
        self._since_clipped = 0 if clipped else self._since_clipped + 1
        share = np.clip((level_dbfs - LOWEST_DBFS) / -LOWEST_DBFS, 0, 1)
        bar = ("#" * round(WIDTH * float(share))).ljust(WIDTH)
        fault = self._fault()
        return f"[{bar}] {max(level_dbfs, LOWEST_DBFS):4.0f} dBFS  {fault or '':24}"

    def _fault(self) -> Fault | None:
        """What an utterance like this would be sent back for."""
        if self._since_clipped < self._recent:
            return Fault.CLIPPED
        if not self._in_speech():
            return None
        loudest_dbfs = max(list(self._levels_dbfs)[-self._recent :])
        if loudest_dbfs < ENROLL_LIMITS.min_speech_dbfs:
            return Fault.TOO_QUIET
        if loudest_dbfs - min(self._levels_dbfs) < ENROLL_LIMITS.min_snr_db:
            return Fault.TOO_NOISY
        return None
