"""Ends a service in order at a signal."""

import signal
import sys
from contextlib import ExitStack
from types import FrameType
from typing import Any, Final

from edge_unlock.closing import Closing

SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Ending(Closing):
    """From now on until ``close`` the first of ``SIGNALS`` raises SystemExit, wherever we are.

    Python drops what is raised in the callbacks of its own memory management, so whoever works on
    calls ``check`` now and then, which raises it again. Later signals break off nothing. A signal
    that is ignored, as SIGHUP is below nohup, stays so.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._restoring = ExitStack()
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before: Any = signal.signal(number, self._end)
                self._restoring.callback(signal.signal, number, before)

    def check(self) -> None:
        """Raise SystemExit if a signal has come."""
        if self._number is not None:
            sys.exit(128 + self._number)

    def close(self) -> None:
        """Have signals do what they did before; calling it again does nothing."""
        self._restoring.close()

    def _end(self, number: int, _: FrameType | None) -> None:
        is_first, self._number = self._number is None, self._number or number
        if is_first:
            self.check()
