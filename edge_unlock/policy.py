"""How often somebody may fail before having to wait.

Five failures are free; then each one costs a wait, from 30 s doubling to one hour, until a
success. The wait is counted in time that the device was up, never by the wall clock: so
setting the clock has no effect, and a reboot starts the wait again instead of ending it.

Not prevented: who can write to the disk can put the sealed counters back to an older copy.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

from edge_unlock.errors import AuthenticationError, LockedOutError, VaultError

FREE_FAILURES: Final = 5
FIRST_WAIT_S: Final = 30
LONGEST_WAIT_S: Final = 3600
ANYONE: Final = "*"
"""The subject of an identification, which claims no name."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
MAX_SUBJECTS: Final = 256
EMPTY_STATE: Final = b"{}"


class StateStore(Protocol):
    """Where the counters are kept, tamper-evidently; both methods raise VaultError."""

    def read(self) -> bytes:
        """Return the state."""
        ...

    def update(self, change: Callable[[bytes], bytes]) -> None:
        """Replace the state by what ``change`` makes of it, excluding other writers."""
        ...


@dataclass(frozen=True)
class Uptime:
    """A moment: which boot, and how many seconds after it, sleep included."""

    boot_id: str
    seconds: float


def uptime() -> Uptime:
    """Return the present moment, from clocks that nobody can set; VaultError without /proc."""
    try:
        boot_id = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError as error:
        raise VaultError(
            f"cannot tell this boot from the last: {_BOOT_ID} is not readable",
            "let the service read it: ProcSubset=all",
        ) from error
    return Uptime(boot_id, time.clock_gettime(time.CLOCK_BOOTTIME))


@dataclass(frozen=True)
class _Record:
    failures: int
    last: Uptime

    def remaining_s(self, now: Uptime) -> int:
        """Return the whole seconds still to wait."""
        doublings = self.failures - FREE_FAILURES
        if doublings < 0:
            return 0
        wait_s = min(FIRST_WAIT_S << min(doublings, 16), LONGEST_WAIT_S)
        start_s = self.last.seconds if now.boot_id == self.last.boot_id else 0.0
        return max(0, math.ceil(start_s + wait_s - now.seconds))


class AttemptPolicy:
    """Counts failed attempts by subject: a claimed user name, or ``ANYONE``.

    Names that nobody bears are counted alike, so that a lockout does not tell who is enrolled.
    A caller must deny when any method raises.
    """

    def __init__(self, store: StateStore, now: Callable[[], Uptime] = uptime) -> None:
        self._store = store
        self._now = now

    def check(self, subject: str) -> None:
        """Raise LockedOutError, which names the seconds to wait, unless an attempt may be made."""
        records = _parse(self._store.read())
        record = records.get(_key(subject, records))
        wait_s = record.remaining_s(self._now()) if record else 0
        if wait_s:
            raise LockedOutError(
                f"too many failed attempts: wait {wait_s} s", "a restart begins the wait anew"
            )

    def record_failure(self, subject: str) -> None:
        """Count a failed attempt, durably."""

        def change(state: bytes) -> bytes:
            records = _parse(state)
            key = _key(subject, records)
            before = records[key].failures if key in records else 0
            return _format({**records, key: _Record(before + 1, self._now())})

        self._store.update(change)

    def record_success(self, subject: str) -> None:
        """Forget the failures of ``subject``."""
        records = _parse(self._store.read())
        if _key(subject, records) not in records:
            return  # the common case; it must not wear the card

        def change(state: bytes) -> bytes:
            records = _parse(state)
            records.pop(_key(subject, records), None)
            return _format(records)

        self._store.update(change)


_OVERFLOW: Final = "others"


def _key(subject: str, records: dict[str, _Record]) -> str:
    """Return the subject's key: of fixed size, and one for all newcomers once the table is full.

    Evicting instead would let an attacker clear a lockout by failing under many names.
    """
    digest = sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return digest if digest in records or len(records) < MAX_SUBJECTS else _OVERFLOW


def _parse(state: bytes) -> dict[str, _Record]:
    try:
        return {
            key: _Record(int(failures), Uptime(str(boot_id), float(seconds)))
            for key, (failures, boot_id, seconds) in json.loads(state).items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise AuthenticationError("the attempt counters are not understood") from error


def _format(records: dict[str, _Record]) -> bytes:
    return json.dumps(
        {
            key: (record.failures, record.last.boot_id, record.last.seconds)
            for key, record in records.items()
        },
        separators=(",", ":"),
    ).encode()
