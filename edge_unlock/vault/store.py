"""The vault's files, read and changed as one.

The manifest file is the only thing that commits: it holds the wrapped master key and, sealed
under that, which record is current for each user. A change writes new records under new names,
then replaces the manifest, then deletes what is no longer named. A crash at any byte therefore
leaves the old state or the new, also when every key changes at once.

Manifest, state and log also carry one turn number, so that an older copy of some of them among the
present others is found. Each change is one turn, and goes

1. the state, of the next turn and unsettled: what has to be charged is charged in it;
2. a line of the log;
3. the manifest, of that turn;
4. the state again, settled: it seals the end of the log.

At rest both have the same turn, the state is settled, and the log ends where it says. Only an
unsettled state may be a turn ahead of the manifest, or the log a line ahead of it: a crash leaves
that, and the next change begins by finishing it. Everything else was put back.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_unlock.errors import (
    AuthenticationError,
    StaleTemplateError,
    UnknownUserError,
    VaultError,
    VaultMissingError,
)
from edge_unlock.vault.attempts import Attempts, uptime
from edge_unlock.vault.container import HEADER_BYTES, VAULT_FILE, Context, Header, unseal
from edge_unlock.vault.directory import Directory
from edge_unlock.vault.keys import Kek, KeySource
from edge_unlock.vault.manifest import MAX_USERS, Manifest, RollRow, Row
from edge_unlock.vault.record import Member, ModelIdentity, PlaceEntry, UserEntry
from edge_unlock.vault.records import Records
from edge_unlock.vault.snapshot import Snapshot
from edge_unlock.vault.state import LEGACY_FILES, PURPOSE, STATE, STATE_LIMIT, State

MANIFEST: Final = "manifest.euv"
RECORDS: Final = "records"
MOST_SINGLY: Final = 100
"""Of more who are stored at once, some thousand share a record: each takes milliseconds to open."""
_MOST_LISTED: Final = 500
"""More users than this never fit into the manifest's own file."""
_MANIFEST_LIMIT: Final = 2 * (HEADER_BYTES + VAULT_FILE.max_length)
"""The key slot, then the manifest proper."""
_MANIFEST_SPARE: Final = 64
"""Bytes that are left free in the manifest: its turn and generation grow by digits."""


class Log(Protocol):
    """What the store asks of the audit log, which registers itself as ``Store.log``."""

    def beyond(self, snapshot: Snapshot) -> int:
        """Return how many whole lines follow the sealed end; AuthenticationError before it."""
        ...

    def resume(self, snapshot: Snapshot, event: str) -> None:
        """Seal the line that a crash left beyond the end; where there is none, add ``event``."""
        ...


class Store:
    """The files of one vault, opened with the key-encryption key of a key source."""

    log: Log

    def __init__(self, home: Directory, records: Directory, kek: Kek, source: KeySource) -> None:
        self.home = home
        self._records = Records(records)
        self._enrolled: _Enrolled | None = None
        self.kek = kek
        self.source = source
        self._mutex = threading.RLock()
        self._next: Snapshot | None = None
        self._written: State | None = None
        self._afterwards: list[Callable[[], None]] = []

    @classmethod
    def open(cls, home: Directory, kek: Kek, source: KeySource, *, create: bool = False) -> "Store":
        """Open the files in ``home``; nothing is read yet."""
        return cls(home, home.subdirectory(RECORDS, create=create), kek, source)

    def close(self) -> None:
        """Release the directories; later use raises VaultError."""
        self.home.close()

    @contextmanager
    def reading(self) -> Iterator[Snapshot]:
        """Yield the present state, which no writer changes meanwhile. Do not nest."""
        with self.home.locked(shared=True):
            yield self._load()

    @contextmanager
    def writing(self) -> Iterator[Snapshot]:
        """Yield the present state for a change by this writer alone.

        What was staged is settled at the end, unless there was an error: then it counts as
        interrupted. One within another joins it, and sees what that has staged.
        """
        with self._mutex:
            if self._next is not None:
                yield self._next
                return
            with self.home.locked():
                self._sweep()
                snapshot = self._load()
                if snapshot.state.unsettled:
                    event = "interrupted" if snapshot.manifest.turn is not None else "migrated"
                    with self._turn(snapshot):
                        self.begin()
                        self.log.resume(snapshot, event)
                    snapshot = self._load()
                with self._turn(snapshot):
                    yield snapshot

    @contextmanager
    def founding(self, snapshot: Snapshot) -> Iterator[None]:
        """Make ``snapshot``, and what is staged within, a new vault."""
        with self._mutex, self.home.locked(), self._turn(snapshot):
            yield

    def begin(self) -> None:
        """Write the state to disk, as of an unsettled turn, with what was staged so far.

        To be called within ``writing`` before anything is done that a crash must not undo, and
        before a line is added to the log.
        """
        state = self.present.state
        if not state.unsettled:
            self.stage({})
        if self.present.state != self._written:
            self._write(self.present)

    def stage(self, sections: Mapping[str, bytes], snapshot: Snapshot | None = None) -> None:
        """Have these sections, and the manifest of ``snapshot``, settled at the end."""
        state = self.present.state
        turn = state.turn if state.unsettled else state.turn + 1
        state = State(turn, True, {**state.sections, **sections})
        self._next = replace(snapshot or self.present, state=state)

    @property
    def present(self) -> Snapshot:
        """The state within ``writing``, with what was staged so far; VaultError elsewhere."""
        if self._next is None:
            raise VaultError("nothing can be changed without the vault's lock")
        return self._next

    @contextmanager
    def _turn(self, snapshot: Snapshot) -> Iterator[None]:
        self._next, self._written = snapshot, snapshot.state
        try:
            yield
            if self._next.state.unsettled:
                self._settle(self._next)
                for call in self._afterwards:
                    call()
        finally:
            self._next = self._written = None
            self._afterwards.clear()

    def afterwards(self, call: Callable[[], None]) -> None:
        """Have this called once the present change is settled, while the lock is still held."""
        self._afterwards.append(call)

    def _settle(self, snapshot: Snapshot) -> None:
        state = snapshot.state
        manifest = replace(snapshot.manifest, turn=state.turn)
        if manifest.roll is None and not _is_short(manifest):
            manifest = replace(manifest, roll=self._records.write_roll(snapshot))
            self._enrolled = _Enrolled.of(manifest)
        snapshot = replace(snapshot, manifest=manifest)
        self.home.replace(MANIFEST, snapshot.to_bytes())
        self.kek = snapshot.kek
        self._write(replace(snapshot, state=State(state.turn, False, state.sections)))
        self._records.clean(self._current(manifest))
        for name in self.home.names():
            if name in LEGACY_FILES.values():
                self.home.remove(name)
        self._sweep()

    def _write(self, snapshot: Snapshot) -> None:
        key = snapshot.journal_key(PURPOSE)
        self.home.replace(STATE, snapshot.state.sealed(key, snapshot.vault_id))
        self._written = snapshot.state

    def put(self, snapshot: Snapshot, members: Sequence[Member]) -> Snapshot:
        """Write new records of users and return the snapshot that names them."""
        if len(members) > MOST_SINGLY:
            rows = list(self._records.write_shelves(snapshot, members))
        else:
            rows = [self._records.write(snapshot, *member) for member in members]
        return fitting(replace(snapshot, manifest=snapshot.manifest.having(*rows)))

    def put_place(
        self, snapshot: Snapshot, entry: PlaceEntry, voices: NDArray[np.float32]
    ) -> Snapshot:
        """Write the place's record of (n, D) unit rows and return the snapshot that names it."""
        row = self._records.write(snapshot, entry, voices)
        return fitting(replace(snapshot, manifest=snapshot.manifest.at(row)))

    def get(self, snapshot: Snapshot, name: str, identity: ModelIdentity) -> NDArray[np.float32]:
        """Return the (n, D) rows that ``name`` enrolled with the model ``identity``.

        Raises UnknownUserError, StaleTemplateError, AuthenticationError.
        """
        row = row_of(snapshot, name)
        if row.entry.identity != identity:
            raise StaleTemplateError(
                f"{name!a} was enrolled with another model",
                "enroll again with the present one",
            )
        return self._records.read(snapshot, row, f"the template of {name!a}", "enroll again")

    def get_all(self, snapshot: Snapshot, names: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """Return the (n, D) rows of each of these names, by name; AuthenticationError."""
        return self._records.read_all(snapshot, [row_of(snapshot, name) for name in names])

    def touch(self, snapshot: Snapshot, number: int) -> None:
        """Do the work of opening the shelf of some user; nothing, where that one is on none."""
        rows = list(snapshot.manifest.rows.values())
        if rows and rows[number % len(rows)].first is not None:
            self._records.touch(snapshot, rows[number % len(rows)])

    def get_place(self, snapshot: Snapshot) -> NDArray[np.float32] | None:
        """Return the (n, D) voices of the place, if one is known; AuthenticationError."""
        row = snapshot.manifest.place
        if row is None:
            return None
        noun = "what was learned of the place"
        return self._records.read(snapshot, row, noun, "calibrate again")

    def _load(self) -> Snapshot:
        blob = read_manifest_file(self.home)
        header = Header.read(blob, "key slot")
        renewed = header.kek_id == self.kek.id and header.kek_parameters != self.kek.parameters
        if renewed and self.source.renewable:  # by another process; nobody has to be asked
            self.kek = self.source.recover(header.record_id, header.kek_parameters)
        snapshot = self._with_users(Snapshot.from_bytes(blob, self.kek))
        turn = snapshot.manifest.turn
        if turn is None and STATE not in self.home.names():
            state, turn = self._legacy_state(snapshot), 0
        else:
            blob = self.home.read(STATE, STATE_LIMIT)
            state = State.unsealed(blob, snapshot.journal_key(PURPOSE), snapshot.vault_id)
        snapshot = replace(snapshot, state=state)
        ahead = state.turn - (turn or 0)
        beyond = self.log.beyond(snapshot)
        possible = {(False, 0, 0), (True, 0, 1), (True, 1, 0), (True, 1, 1)}
        if (state.unsettled, ahead, beyond) not in possible:
            raise AuthenticationError(
                "the vault's files are not of one time: an older copy of some was put back",
                "restore the whole state directory from a backup, or remove it and enroll again",
            )
        return snapshot

    def _with_users(self, snapshot: Snapshot) -> Snapshot:
        """Return the same with who is enrolled; a list that was read once is not read again."""
        manifest = snapshot.manifest
        if manifest.roll is None:
            return snapshot
        if self._enrolled is None or self._enrolled.roll != manifest.roll:
            rows = self._records.read_roll(snapshot, manifest.roll)
            self._enrolled = _Enrolled.of(replace(manifest, rows=rows))
        return replace(snapshot, manifest=replace(manifest, rows=self._enrolled.rows))

    def _current(self, manifest: Manifest) -> set[bytes]:
        """Return the ids of the records that the manifest names."""
        others = {row.record_id for row in (manifest.place, manifest.roll) if row is not None}
        if self._enrolled is not None and self._enrolled.roll == manifest.roll:
            return others | self._enrolled.record_ids
        return others | {row.record_id for row in manifest.rows.values()}

    def _legacy_state(self, snapshot: Snapshot) -> State:
        """Return what a vault without a turn keeps in files of their own, to be migrated."""
        sections = {
            purpose: unseal(
                self.home.read(name, STATE_LIMIT),
                snapshot.journal_key(purpose),
                Context(purpose, snapshot.vault_id),
            )
            for purpose, name in LEGACY_FILES.items()
        }
        attempts = Attempts.migrated(sections["attempts"], uptime())
        return State(1, True, {**sections, "attempts": attempts.to_bytes()})

    def _sweep(self) -> None:
        self.home.sweep()
        self._records.sweep()


class _Enrolled(NamedTuple):
    """Who is enrolled by a roll, as it was read."""

    roll: RollRow | None
    rows: Mapping[str, Row[UserEntry]]
    record_ids: frozenset[bytes]

    @classmethod
    def of(cls, manifest: Manifest) -> "_Enrolled":
        rows = manifest.rows
        return cls(manifest.roll, rows, frozenset(row.record_id for row in rows.values()))


def fitting(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot; VaultError where its manifest leaves no room for what comes later.

    A vault filled to the last byte could not count its next turn, and nothing be removed from it.
    """
    manifest = snapshot.manifest
    if len(manifest.rows) > MAX_USERS or not _is_short(replace(manifest, rows={}, roll=None)):
        raise VaultError("the vault is full", "remove a user")
    return snapshot


def _is_short(manifest: Manifest) -> bool:
    """Say whether users and all fit into the manifest's own file."""
    if len(manifest.rows) > _MOST_LISTED:
        return False
    return len(manifest.to_bytes()) <= VAULT_FILE.max_length - _MANIFEST_SPARE


def read_manifest_file(home: Directory) -> bytes:
    """Return the manifest file's bytes; VaultMissingError when there is none."""
    if MANIFEST not in home.names():
        raise VaultMissingError(f"there is no vault in {home.path}")
    return home.read(MANIFEST, _MANIFEST_LIMIT)


def row_of(snapshot: Snapshot, name: str) -> Row[UserEntry]:
    """Return the row of the user ``name``; UnknownUserError when nobody has that name."""
    row = snapshot.manifest.rows.get(name)
    if row is None:
        raise UnknownUserError(f"nobody named {name!a} is enrolled", "see who is: edge-unlock list")
    return row
