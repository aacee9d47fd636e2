"""The vault's records: sealed files of rows, each named after its random id.

A record holds one person's template, or the voices of the place; or, where many are stored at once,
the templates of some thousand people: a *shelf*. Each has a rotation of its own. What is current
says the manifest, by the file's digest; it says also where on a shelf somebody's template begins.
"""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_unlock.errors import AuthenticationError
from edge_unlock.vault import transform
from edge_unlock.vault.container import (
    HEADER_BYTES,
    ID_BYTES,
    ROLL_FILE,
    SHELF_FILE,
    VAULT_FILE,
    Context,
    Format,
    seal,
    unseal,
)
from edge_unlock.vault.directory import Directory
from edge_unlock.vault.manifest import Entry, RollRow, Row
from edge_unlock.vault.record import Member, ModelIdentity, PlaceEntry, UserEntry
from edge_unlock.vault.roll import roll_from_bytes, roll_to_bytes
from edge_unlock.vault.snapshot import Snapshot

STORED_DTYPE: Final = np.dtype("<f4")
_RECORD_NAME: Final = re.compile(r"[0-9a-f]{32}\.eut")
_SHELF_BYTES: Final = 4 * 2**20
"""About so much of templates a shelf: to verify somebody takes opening one."""

Rows = NDArray[np.float32]


class Records:
    """The records in one ``directory``."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def write(self, snapshot: Snapshot, entry: Entry, embeddings: Rows) -> Row[Entry]:
        """Write a new record of (n, D) unit rows; return the row that names it."""
        record_id, generation = secrets.token_bytes(ID_BYTES), snapshot.manifest.generation
        context = record_context(entry, record_id, generation)
        digest = self._write_rows(snapshot, embeddings, context, VAULT_FILE)
        return Row(entry, record_id, generation, digest)

    def write_shelves(
        self, snapshot: Snapshot, members: Sequence[Member]
    ) -> Iterator[Row[UserEntry]]:
        """Write the (n, D) unit rows of many users to shelves; yield the rows that name them."""
        generation = snapshot.manifest.generation
        for shelf in _shelves(members):
            record_id = secrets.token_bytes(ID_BYTES)
            context = _shelf_context(shelf[0][0].identity, record_id, generation)
            embeddings = np.concatenate([rows for _, rows in shelf])
            digest = self._write_rows(snapshot, embeddings, context, SHELF_FILE)
            first = 0
            for entry, rows in shelf:
                yield Row(entry, record_id, generation, digest, first)
                first += len(rows)

    def read(self, snapshot: Snapshot, row: Row[Entry], noun: str, hint: str) -> Rows:
        """Return the (n, D) rows of a user or the place; AuthenticationError."""
        mine = _on_shelf(self._open(snapshot, row, noun, hint), row, noun)
        return transform.recover(mine, snapshot.vmk, row.record_id)

    def read_all(self, snapshot: Snapshot, rows: Iterable[Row[UserEntry]]) -> dict[str, Rows]:
        """Return the (n, D) rows of many users, by name; each record is opened once."""
        found = {}
        for record_id, group in groupby(sorted(rows, key=_record_id), key=_record_id):
            members = list(group)
            noun = f"the template of {members[0].entry.name!a}"
            shelf = self._open(snapshot, members[0], noun, "enroll again")
            shelf = transform.recover(shelf, snapshot.vmk, record_id)
            for row in members:
                found[row.entry.name] = _on_shelf(shelf, row, noun)
        return found

    def touch(self, snapshot: Snapshot, row: Row[UserEntry]) -> None:
        """Do the work of opening a record, for nothing."""
        self._open(snapshot, row, "a template", "enroll again")

    def write_roll(self, snapshot: Snapshot) -> RollRow:
        """Write who is enrolled to a record of its own."""
        record_id, generation = secrets.token_bytes(ID_BYTES), snapshot.manifest.generation
        payload = roll_to_bytes(snapshot.manifest.rows.values())
        context = _roll_context(record_id, generation)
        blob = seal(payload, snapshot.vmk, context, form=ROLL_FILE)
        self._directory.replace(_record_name(record_id), blob)
        return RollRow(record_id, generation, sha256(blob).digest())

    def read_roll(self, snapshot: Snapshot, row: RollRow) -> Mapping[str, Row[UserEntry]]:
        """Return who is enrolled, by name; AuthenticationError."""
        blob = self._directory.read(
            _record_name(row.record_id), HEADER_BYTES + ROLL_FILE.max_length
        )
        if sha256(blob).digest() != row.digest:
            raise AuthenticationError(
                "the list of users was altered or is an old one",
                "restore the vault from a backup, or enroll again",
            )
        context = _roll_context(row.record_id, row.generation)
        return roll_from_bytes(unseal(blob, snapshot.vmk, context, form=ROLL_FILE))

    def clean(self, current: Iterable[bytes]) -> None:
        """Delete all records but those of these ids."""
        named = {_record_name(record_id) for record_id in current}
        for name in self._directory.names():
            if _RECORD_NAME.fullmatch(name) and name not in named:
                self._directory.remove(name)

    def sweep(self) -> None:
        """Delete what writes that a crash cut short have left."""
        self._directory.sweep()

    def _write_rows(
        self, snapshot: Snapshot, embeddings: Rows, context: Context, form: Format
    ) -> bytes:
        """Write a record and return its digest."""
        rows = transform.protect(embeddings, snapshot.vmk, context.record_id).astype(STORED_DTYPE)
        blob = seal(rows.tobytes(), snapshot.vmk, context, form=form)
        self._directory.replace(_record_name(context.record_id), blob)
        return sha256(blob).digest()

    def _open(self, snapshot: Snapshot, row: Row[Entry], noun: str, hint: str) -> Rows:
        """Return all rows (n, D) of a record, under its rotation still."""
        form, context = VAULT_FILE, record_context(row.entry, row.record_id, row.generation)
        if row.first is not None:
            form = SHELF_FILE
            context = _shelf_context(row.entry.identity, row.record_id, row.generation)
        name = _record_name(row.record_id)
        blob = self._directory.read(name, HEADER_BYTES + form.max_length)
        if sha256(blob).digest() != row.digest:
            raise AuthenticationError(f"{noun} was altered or is an old one", hint)
        rows = np.frombuffer(unseal(blob, snapshot.vmk, context, form=form), dtype=STORED_DTYPE)
        return rows.reshape(-1, row.entry.identity.embedding_size)


def record_context(entry: UserEntry | PlaceEntry, record_id: bytes, generation: int) -> Context:
    """Return what a record is bound to: the claimed user or the microphone, and the model."""
    fields = (entry.bound_to.encode(), *_model_fields(entry.identity, generation))
    return Context(entry.purpose, record_id, fields)


def _shelf_context(identity: ModelIdentity, record_id: bytes, generation: int) -> Context:
    """Return what a shelf is bound to: the model. Whose its templates are says the sealed list."""
    return Context("shelf", record_id, _model_fields(identity, generation))


def _roll_context(record_id: bytes, generation: int) -> Context:
    return Context("roll", record_id, (generation.to_bytes(8, "big"),))


def _model_fields(identity: ModelIdentity, generation: int) -> tuple[bytes, ...]:
    return (
        identity.model_sha256,
        identity.feature_sha256,
        identity.embedding_size.to_bytes(4, "big"),
        identity.dtype.encode(),
        transform.TRANSFORM_ID,
        generation.to_bytes(8, "big"),
    )


def _shelves(
    members: Sequence[Member],
) -> Iterator[list[Member]]:
    """Divide users among shelves: of one model each, and not much more than fits."""
    shelf: list[Member] = []
    held = 0
    for entry, rows in members:
        if shelf and (held >= _SHELF_BYTES or shelf[0][0].identity != entry.identity):
            yield shelf
            shelf, held = [], 0
        shelf.append((entry, rows))
        held += rows.nbytes
    if shelf:
        yield shelf


def _on_shelf(rows: Rows, row: Row[Entry], noun: str) -> Rows:
    """Return those of a record's rows that are of one user: all, of a record of its own."""
    if row.first is None or not isinstance(row.entry, UserEntry):
        return rows
    last = row.first + row.entry.utterances
    if last > len(rows):
        raise AuthenticationError(f"{noun} is not on its shelf", "restore the vault from a backup")
    return rows[row.first : last]


def _record_id(row: Row[UserEntry]) -> bytes:
    return row.record_id


def _record_name(record_id: bytes) -> str:
    return f"{record_id.hex()}.eut"
