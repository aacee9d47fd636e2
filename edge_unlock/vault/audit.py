"""One line an event, so that the owner can see later who was let in, and what was changed.

Each line carries a MAC over the line before it and itself (``chain``), and a sealed file remembers
the end. So a line that was altered, inserted, dropped or cut off the end is found: of the last line
at the next event already, of the others by ``extent`` only, which reads all of them.

People go by their ``alias``. The log is kept in files of ``FILE_BYTES``: ``audit.log``, and older
ones as ``audit.log.1`` to ``audit.log.8``, each of which begins with the MAC that the one before
ends with. The oldest is dropped. The owner may move older files away: the rest is whole without.
"""

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from edge_unlock.errors import AuthenticationError, VaultError
from edge_unlock.vault import chain
from edge_unlock.vault.alias import Aliases
from edge_unlock.vault.chain import BrokenChainError, Link
from edge_unlock.vault.journal import Journal
from edge_unlock.vault.record import utc_now
from edge_unlock.vault.snapshot import Snapshot
from edge_unlock.vault.store import Store

LOG: Final = "audit.log"
FILE_BYTES: Final = 1024 * 1024
KEPT_FILES: Final = 8

_NAME_FIELDS: Final = ("subject", "user")
_NOBODY: Final = "*"  # a subject that is no name

Field = str | int | bool | None
Fields = dict[str, Field]


@dataclass(frozen=True)
class Extent:
    """How much of the log is here: whole from line ``first`` to the last, ``lines``; in ``files``.

    Lines before ``first`` were in files that are not here any more.
    """

    first: int
    lines: int
    files: int

    def __str__(self) -> str:
        files = f"{self.files} file{'s' if self.files > 1 else ''}"
        if self.first == 1:
            return f"{self.lines} lines in {files}"
        return (
            f"lines {self.first} to {self.lines} in {files}; "
            "some before them were dropped, moved away or deleted"
        )


@dataclass(frozen=True)
class Entry:
    """One line, with names instead of aliases; ``time`` is UTC in ISO 8601."""

    line: int
    time: str
    event: str
    fields: Fields


class AuditLog:
    """The vault's log."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._end = Journal(store, "audit")
        store.log = self

    def create(self, snapshot: Snapshot) -> None:
        """Start an empty log for a new vault."""
        self._store.home.replace(LOG, b"")
        self._end.save(snapshot, Link().pack())

    def append(self, event: str, **fields: Field) -> None:
        """Add a line, durably; within ``store.writing`` as a part of what is settled then.

        ``user`` and ``subject`` are names. Fractions are refused: scores and embeddings are not
        logged. Raises VaultError for such a field or an overlong line, AuthenticationError when
        the end of the log was altered. The caller must then deny.
        """
        for name, value in fields.items():
            if value is not None and not isinstance(value, str | int):
                raise VaultError(f"{name} cannot be logged: it is neither text nor a whole number")
        with self._store.writing(), self._log(writable=True) as handle:
            self._store.begin()
            snapshot = self._store.present
            key = _chain_key(snapshot)
            # a crash can leave a line unsealed
            end = [self._sealed_end(snapshot), *self._unsealed(snapshot, handle)][-1]
            record = {"line": end.lines + 1, "time": utc_now(), "event": event}
            record |= _hidden(fields, _aliases(snapshot))
            body = json.dumps(record, separators=(",", ":")).encode()
            line, next_end = end.follow(body, key)
            if len(line) > chain.MAX_LINE_BYTES:
                raise VaultError(f"an audit line of {len(line)} bytes is too long")
            if end.size and next_end.size > FILE_BYTES:
                handle.seek(0)
                self._put_aside(handle.read(end.size), key)
                head, place = end.head(key)
                line, next_end = place.follow(body, key)
                self._store.home.replace(LOG, head + line)
            else:
                handle.seek(end.size)
                handle.truncate()  # the torn line of a power cut, if any
                handle.write(line)
                handle.flush()
                os.fsync(handle.fileno())
            self._end.save(snapshot, next_end.pack())

    def extent(self) -> Extent:
        """Check the whole log; AuthenticationError names the first bad line."""
        first, lines = 1, 0
        with self._store.reading() as snapshot:
            for _, place in self._lines(snapshot):
                if place.lines != lines + 1:
                    first = place.lines
                lines = place.lines
            return Extent(first, lines, len(self._files(_chain_key(snapshot))))

    def verify(self) -> int:
        """Check the whole log and return its number of lines; errors as of ``extent``."""
        return self.extent().lines

    def entries(self) -> Iterator[Entry]:
        """Yield what is in the log, oldest first, checking it as ``extent`` does.

        Holds the vault's lock meanwhile: no decision is made before it has ended.
        """
        with self._store.reading() as snapshot:
            aliases = _aliases(snapshot)
            for line, _ in self._lines(snapshot):
                yield _entry(line, aliases)

    def _unsealed(self, snapshot: Snapshot, handle: BinaryIO) -> Iterator[Link]:
        """Yield the place after each line beyond the sealed end, which is checked."""
        key, place = _chain_key(snapshot), self._sealed_end(snapshot)
        try:
            before, first = chain.start(handle, key)
            if first.size and before.is_at(place):  # a crash after the log went on in a new file
                place = first
            else:
                chain.check_end(handle, key, place)
            for _, after in chain.following(handle, key, place, may_be_torn=True):
                yield after
        except BrokenChainError:
            for _ in self._lines(snapshot):  # raises what names the line
                pass
            raise _altered(LOG, place.lines) from None

    def _lines(self, snapshot: Snapshot) -> Iterator[tuple[bytes, Link]]:
        """Yield all lines with the place after each, oldest first."""
        key, sealed = _chain_key(snapshot), self._sealed_end(snapshot)
        files = self._files(key)
        earlier: _File | None = None
        end, count, met = Link(), 0, False
        for file, later in zip(files, [*files[1:], None], strict=True):
            if later is not None and file.start.is_at(later.start):
                continue  # a crash while it was put aside left two of it
            if earlier is not None and not file.start.is_at(end):
                if file.start.lines < end.lines:
                    raise _altered(file.name, 1)
                if earlier.number == file.number + 1:  # no file is missing between them
                    raise _altered(earlier.name, count + 1)
            count = 1 if file.first.size else 0  # the head
            end, met = file.first, file.start.is_at(sealed)
            with self._store.home.opened(file.name) as handle:
                try:
                    for line, end in chain.following(
                        handle, key, file.first, may_be_torn=later is None
                    ):
                        count, met = count + 1, met or end.is_at(sealed)
                        yield line, end
                except BrokenChainError:
                    raise _altered(file.name, count + 1) from None
            earlier = file
        if not met:
            raise _altered(LOG, count + 1)

    def _files(self, key: bytes) -> list["_File"]:
        """Return the files, oldest first; the last one is that of today."""
        names = set(self._store.home.names())
        older = [number for number in range(KEPT_FILES, 0, -1) if _name(number) in names]
        return [_File(number, *self._start(_name(number), key)) for number in (*older, 0)]

    def _start(self, name: str, key: bytes) -> tuple[Link, Link]:
        with self._store.home.opened(name) as handle:
            try:
                return chain.start(handle, key)
            except BrokenChainError:
                raise _altered(name, 1) from None

    def _put_aside(self, content: bytes, key: bytes) -> None:
        """Keep ``content`` as the youngest of the older files, of which the oldest is dropped."""
        if not self._is_aside(key):
            names = set(self._store.home.names())
            for number in range(KEPT_FILES - 1, 0, -1):
                if _name(number) in names:
                    self._store.home.rename(_name(number), _name(number + 1))
        self._store.home.replace(_name(1), content)

    def _is_aside(self, key: bytes) -> bool:
        """Whether a crash came when the log was put aside and had not gone on in a new file."""
        try:
            return self._start(_name(1), key)[0].is_at(self._start(LOG, key)[0])
        except VaultError:  # whatever became of the older file, the log goes on
            return False

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

    def _log(self, *, writable: bool = False) -> AbstractContextManager[BinaryIO]:
        return self._store.home.opened(LOG, writable=writable)

    def _sealed_end(self, snapshot: Snapshot) -> Link:
        return Link.unpack(self._end.load(snapshot))


@dataclass(frozen=True)
class _File:
    """One of the log's files: the place it goes on from, and that of its first counted line."""

    number: int
    start: Link
    first: Link

    @property
    def name(self) -> str:
        return _name(self.number)


def _name(number: int) -> str:
    return f"{LOG}.{number}" if number else LOG


def _chain_key(snapshot: Snapshot) -> bytes:
    return snapshot.journal_key("audit chain")


def _aliases(snapshot: Snapshot) -> Aliases:
    return Aliases(snapshot.journal_key("audit names"))


def _hidden(fields: Fields, aliases: Aliases) -> dict[str, Any]:
    """Return what a line says of the fields: aliases instead of names, and the names sealed."""
    names = {
        value
        for field, value in fields.items()
        if field in _NAME_FIELDS and isinstance(value, str) and value != _NOBODY
    }
    if not names:
        return {"fields": fields}
    shown = {
        field: aliases.of(value) if field in _NAME_FIELDS and value in names else value
        for field, value in fields.items()
    }
    return {"fields": shown, "names": aliases.seal(names)}


def _entry(line: bytes, aliases: Aliases) -> Entry:
    record = json.loads(line)
    names = aliases.unseal(record["names"]) if "names" in record else {}
    fields = {
        field: names.get(value, value) if field in _NAME_FIELDS else value
        for field, value in record["fields"].items()
    }
    return Entry(record["line"], record["time"], record["event"], fields)


def _altered(name: str, line: int) -> AuthenticationError:
    return AuthenticationError(
        f"{name} was altered or cut at its line {line}",
        "someone may have hidden an entry; restore the log, or create the vault anew",
    )
