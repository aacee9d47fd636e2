"""One line a decision, so that the owner can see later who was let in.

Each line carries an HMAC over the line before it and itself, and a sealed file remembers the
end. So a line that was altered, inserted, dropped or cut off the end is found.
"""

import hmac
import json
import os
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass
from hashlib import sha256
from typing import BinaryIO, Final

from edge_unlock.errors import AuthenticationError, VaultError
from edge_unlock.vault.journal import Journal
from edge_unlock.vault.record import utc_now
from edge_unlock.vault.store import Snapshot, Store

LOG: Final = "audit.log"
_MAX_LINE_BYTES: Final = 4096
_PACKING: Final = struct.Struct(">QQ32s")


@dataclass(frozen=True)
class _Link:
    """A place in the chain: how many lines and bytes lie before it, and the last line's MAC."""

    lines: int = 0
    size: int = 0
    mac: bytes = bytes(32)

    def pack(self) -> bytes:
        return _PACKING.pack(*astuple(self))

    def follow(self, body: bytes, key: bytes) -> tuple[bytes, "_Link"]:
        """Return the line that holds the JSON object ``body``, and the place after it."""
        mac = hmac.digest(key, self.mac + body, sha256)
        line = body[:-1] + b',"mac":"' + mac.hex().encode() + b'"}\n'
        return line, _Link(self.lines + 1, self.size + len(line), mac)


_MAC_SUFFIX_BYTES: Final = len(_Link().follow(b"{}", b"")[0]) - len(b"{")


class AuditLog:
    """The vault's log of decisions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._end = Journal(store, "audit")
        store.log = self

    def create(self, snapshot: Snapshot) -> None:
        """Start an empty log for a new vault."""
        self._store.home.replace(LOG, b"")
        self._end.save(snapshot, _Link().pack())

    def append(self, event: str, **fields: str | int | bool | None) -> None:
        """Add a line, durably. Fractions are refused: scores and embeddings are not logged.

        Raises VaultError for such a field or an overlong line, AuthenticationError when the
        end of the log was altered. The caller must then deny.
        """
        for name, value in fields.items():
            if value is not None and not isinstance(value, str | int):
                raise VaultError(f"{name} cannot be logged: it is neither text nor a whole number")
        with self._store.writing(), self._log(writable=True) as handle:
            self._store.begin()
            snapshot = self._store.present
            key = snapshot.journal_key("audit chain")
            sealed = self._sealed_end(snapshot)
            end = [sealed, *_links(handle, key, sealed)][-1]  # a crash can leave a line unsealed
            record = {"line": end.lines + 1, "time": utc_now(), "event": event, "fields": fields}
            line, next_end = end.follow(json.dumps(record, separators=(",", ":")).encode(), key)
            if len(line) > _MAX_LINE_BYTES:
                raise VaultError(f"an audit line of {len(line)} bytes is too long")
            handle.seek(end.size)
            handle.truncate()  # the torn line of a power cut, if any
            handle.write(line)
            handle.flush()
            os.fsync(handle.fileno())
            self._end.save(snapshot, next_end.pack())

    def verify(self) -> int:
        """Check the whole log and return its number of lines; raises AuthenticationError."""
        with self._store.reading() as snapshot, self._log() as handle:
            sealed, key = self._sealed_end(snapshot), snapshot.journal_key("audit chain")
            end = _Link()
            met = end == sealed
            for place in _links(handle, key, end):
                met = met or place == sealed
                end = place
        if not met:
            raise _altered(end.lines + 1)
        return end.lines

    def beyond(self, snapshot: Snapshot) -> int:
        """Return how many whole lines follow the sealed end; AuthenticationError before it."""
        with self._log() as handle:
            return len(list(self._unsealed(snapshot, handle)))

    def resume(self, snapshot: Snapshot, event: str) -> None:
        """Seal the line that a crash left beyond the end; where there is none, add ``event``."""
        with self._log() as handle:
            for place in self._unsealed(snapshot, handle):
                self._end.save(snapshot, place.pack())
                return
        self.append(event)

    def _unsealed(self, snapshot: Snapshot, handle: BinaryIO) -> Iterator[_Link]:
        key, end = snapshot.journal_key("audit chain"), self._sealed_end(snapshot)
        return _links(handle, key, end)

    def _log(self, *, writable: bool = False) -> AbstractContextManager[BinaryIO]:
        return self._store.home.opened(LOG, writable=writable)

    def _sealed_end(self, snapshot: Snapshot) -> _Link:
        return _Link(*_PACKING.unpack(self._end.load(snapshot)))


def _links(handle: BinaryIO, key: bytes, place: _Link) -> Iterator[_Link]:
    """Yield the place after each line that follows ``place``; a torn last line ends them."""
    if handle.seek(0, os.SEEK_END) < place.size:
        raise _altered(place.lines)
    handle.seek(place.size)
    while (line := handle.readline(_MAX_LINE_BYTES + 1)).endswith(b"\n"):
        body = line[:-_MAC_SUFFIX_BYTES] + b"}"
        expected, place = place.follow(body, key)
        if not hmac.compare_digest(line, expected):
            raise _altered(place.lines)
        yield place


def _altered(line: int) -> AuthenticationError:
    return AuthenticationError(
        f"{LOG} was altered or cut at line {line}",
        "someone may have hidden an entry; restore the log, or create the vault anew",
    )
