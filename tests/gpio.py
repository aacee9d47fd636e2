"""A fake GPIO line for tests: what was done to it, and by which processes."""

import math
import time
from collections.abc import Callable
from pathlib import Path

PIN = 17
LONGEST_WAIT_S = 60.0


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


def children(pid: int) -> list[int]:
    """The processes that this one started and that still run."""
    every = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return [one for one in every if _parent(one) == pid]


def is_gone(*pids: int) -> bool:
    """Whether none of these processes runs any more."""
    return all(_parent(pid) is None for pid in pids)


def _parent(pid: int) -> int | None:
    """Who started it; None if it has ended."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[:2]
    except OSError:
        return None
    return None if state == "Z" else int(parent)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until it is so; fails after ``LONGEST_WAIT_S``."""
    deadline = time.monotonic() + LONGEST_WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
