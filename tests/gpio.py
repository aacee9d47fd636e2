"""A fake GPIO line for tests: what was done to it, and by which processes."""

import math
from pathlib import Path

from tests.processes import children

PIN = 17


class Line:
    """What the file of ``EDGE_UNLOCK_FAKE_GPIO`` tells of line ``PIN``; ``on`` is its level."""

    def __init__(self, path: Path, on: int = 1) -> None:
        self.path = path
        self._on = on

    def levels(self) -> list[tuple[float, bool]]:
        """Seconds of the monotonic clock, and whether it was switched on (or off) then."""
        if not self.path.exists():
            return []
        told = [line.split() for line in self.path.read_text().splitlines()]
        return [(float(at), int(level) == self._on) for at, pin, level in told if int(pin) == PIN]

    @property
    def is_on(self) -> bool:
        """As the kernel of a Raspberry Pi leaves it when a process is killed: as it was."""
        levels = self.levels()
        return bool(levels) and levels[-1][1]

    def pulses(self) -> list[float]:
        """How long each pulse took in seconds; infinite for one that has not ended."""
        lengths: list[float] = []
        since: float | None = None
        for at, is_on in self.levels():
            if since is None and is_on:
                since = at
            elif since is not None and not is_on:
                lengths.append(at - since)
                since = None
        return lengths if since is None else [*lengths, math.inf]


def holders(pid: int) -> list[int]:
    """The keepers that this process started; the one child of a keeper is its worker."""
    return [
        child
        for child in children(pid)
        if b"edge_unlock.actions.holder" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
