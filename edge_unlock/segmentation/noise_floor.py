"""How loud a room is when nobody speaks: minimum statistics (Martin 2001, section IV)."""

import math
from collections import deque
from typing import Final

SUBWINDOWS: Final = 5


class NoiseFloor:
    """The lowest level of the last ``SUBWINDOWS`` times ``subwindow`` levels."""

    def __init__(self, subwindow: int) -> None:
        self._sub_chunks = max(1, subwindow)
        self._minima: deque[float] = deque(maxlen=SUBWINDOWS)
        self._past_dbfs = math.inf
        self._current_dbfs = math.inf
        self._count = 0

    def push(self, level_dbfs: float) -> float:
        """Take a level in dBFS; return the floor, or -inf until there is one."""
        self._current_dbfs = min(self._current_dbfs, level_dbfs)
        self._count += 1
        if self._count == self._sub_chunks:
            self._minima.append(self._current_dbfs)
            self._past_dbfs = min(self._minima)
            self._current_dbfs = math.inf
            self._count = 0
        return min(self._past_dbfs, self._current_dbfs) if self._minima else -math.inf
