"""A live source that outlives its device."""

import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from edge_unlock.audio.source import Samples, SampleSource
from edge_unlock.closing import Closing
from edge_unlock.errors import DeviceError

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
"""A device that is away is looked for after the first wait, then after twice as long, up to this.

Looking means to start PortAudio anew, which knows of no device that was plugged in after it.
"""
STEP_S: Final = 0.25
"""While waiting, so often an empty block is yielded: who reads can stop."""
STEADY_S: Final = 1.0
"""A device that delivered for so long is looked for eagerly again."""


class Lasting(Closing):
    """Reads from what ``open_source`` opens, and opens it again whenever the device fails.

    What cannot be opened is waited for, the first time, too. Between the blocks before a loss and
    after it ``overruns`` grows, so that an utterance with the gap in it is void. ``tell`` gets what
    failed, once for each loss, and None when samples come again.
    """

    def __init__(
        self,
        open_source: Callable[[], SampleSource],
        tell: Callable[[DeviceError | None], None],
    ) -> None:
        self._open = open_source
        self._tell = tell
        self.overruns = 0
        self._lost = 0
        self._closed = False
        self._source: SampleSource | None = None
        self.name = ""

    def blocks(self) -> Iterator[Samples]:
        """Yield what the device delivers until it ends or is closed; see `SampleSource.blocks`."""
        wait_s, told = FIRST_WAIT_S, False
        while not self._closed:
            try:
                if self._source is None:
                    self._source = self._open()
                    self.name = self._source.name
                opened_s = time.monotonic()
                for block in self._source.blocks():
                    if told and block.size:
                        self._tell(None)
                        told = False
                    self.overruns = self._lost + self._source.overruns
                    yield block
                return
            except DeviceError as error:
                if self._source is not None and time.monotonic() - opened_s > STEADY_S:
                    wait_s = FIRST_WAIT_S
                self._release()
                if not told:
                    self._tell(error)
                    told = True
                yield from self._nothing(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def close(self) -> None:
        """Release the device; calling it again does nothing."""
        self._closed = True
        self._release()

    def _release(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            self._lost += source.overruns + 1
            self.overruns = self._lost
            source.close()

    def _nothing(self, wait_s: float) -> Iterator[Samples]:
        until_s = time.monotonic() + wait_s
        while not self._closed and time.monotonic() < until_s:
            time.sleep(min(STEP_S, wait_s))
            yield np.zeros(0, np.float32)
