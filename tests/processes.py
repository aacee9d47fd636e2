"""The processes of the machine, as /proc tells them."""

from pathlib import Path


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
