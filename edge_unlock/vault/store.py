"""The vault's files, read and changed as one.

The manifest file is the only thing that commits: it holds the wrapped master key and, sealed
under that, which record is current for each user. A change writes new records under new names,
then replaces the manifest, then deletes what is no longer named. A crash at any byte therefore
leaves the old state or the new, also when every key changes at once.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_unlock.errors import (
    AuthenticationError,
    StaleTemplateError,
    UnknownUserError,
    VaultMissingError,
    WrongKeyError,
)
from edge_unlock.vault import files, transform
from edge_unlock.vault.container import (
    HEADER_BYTES,
    ID_BYTES,
    KEY_BYTES,
    VAULT_FILE,
    Context,
    Header,
    derive,
    seal,
    unseal,
)
from edge_unlock.vault.directory import Directory
from edge_unlock.vault.keys import Kek
from edge_unlock.vault.manifest import Entry, Manifest, Row
from edge_unlock.vault.policy import Policy
from edge_unlock.vault.record import ModelIdentity, PlaceEntry, UserEntry

MANIFEST: Final = "manifest.euv"
RECORDS: Final = "records"
_RECORD_NAME: Final = re.compile(r"[0-9a-f]{32}\.eut")
_RECORD_LIMIT: Final = HEADER_BYTES + VAULT_FILE.max_length
_MANIFEST_LIMIT: Final = 2 * _RECORD_LIMIT  # the key slot, then the manifest proper
_STORED_DTYPE: Final = np.dtype("<f4")


@dataclass(frozen=True)
class Snapshot:
    """What the manifest file held at one moment, or is to hold next."""

    kek: Kek
    vault_id: bytes
    vmk: bytes
    manifest: Manifest

    @classmethod
    def new(cls, kek: Kek) -> "Snapshot":
        """Return the state of a vault without users."""
        vault_id, vmk = secrets.token_bytes(ID_BYTES), secrets.token_bytes(KEY_BYTES)
        return cls(kek, vault_id, vmk, Manifest.new())

    def following(self) -> "Snapshot":
        """Return the state that the next change starts from."""
        return replace(self, manifest=self.manifest.following())

    def under(self, policy: Policy | None) -> "Snapshot":
        """Return the same of a vault whose decisions are made by ``policy``."""
        return replace(self, manifest=self.manifest.under(policy))

    def rekeyed(self, kek: Kek) -> "Snapshot":
        """Return a following state under a fresh master key, into which all users must be put."""
        manifest = self.manifest.following().emptied()
        return replace(self, kek=kek, vmk=secrets.token_bytes(KEY_BYTES), manifest=manifest)

    def journal_key(self, purpose: str) -> bytes:
        """Return the key of the attempt counters or the audit log."""
        return derive(self.manifest.journal_key, purpose)

    def to_bytes(self) -> bytes:
        """Return the manifest file: the master key under the KEK, then the manifest under that."""
        slot = seal(
            self.vmk,
            self.kek.key,
            Context("key slot", self.vault_id),
            kek_id=self.kek.id,
            kek_parameters=self.kek.parameters,
        )
        return slot + seal(self.manifest.to_bytes(), self.vmk, self._context(slot))

    @classmethod
    def from_bytes(cls, blob: bytes, kek: Kek) -> "Snapshot":
        """Undo ``to_bytes``; WrongKeyError when ``kek`` does not open it."""
        header = Header.read(blob, "key slot")
        slot = blob[: HEADER_BYTES + header.length]
        if (header.kek_id, header.kek_parameters) != (kek.id, kek.parameters):
            raise WrongKeyError(
                "the vault was altered, or was given another key since it was opened",
                "open it again with its present key",
            )
        try:
            vmk = unseal(slot, kek.key, Context("key slot", header.record_id))
        except AuthenticationError as error:
            raise WrongKeyError(
                "the key does not open the vault",
                "check the passphrase or key file; if it is the right one, the vault was altered",
            ) from error
        shell = cls(kek, header.record_id, vmk, Manifest.new())
        payload = unseal(blob[len(slot) :], vmk, shell._context(slot))
        return replace(shell, manifest=Manifest.from_bytes(payload))

    def _context(self, slot: bytes) -> Context:
        # Bound to the very key slot, or an old one could be put in front of a new manifest.
        return Context("manifest", self.vault_id, (sha256(slot).digest(),))


class Store:
    """The files of one vault, opened with its key-encryption key."""

    def __init__(self, home: Directory, records: Directory, kek: Kek) -> None:
        self.home = home
        self._records = records
        self.kek = kek

    @classmethod
    def open(cls, home: Directory, kek: Kek, *, create: bool = False) -> "Store":
        """Open the files in ``home``; nothing is read yet."""
        return cls(home, home.subdirectory(RECORDS, create=create), kek)

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
        """Yield the present state for a change by this writer alone. Do not nest."""
        with self.home.locked():
            yield self._load()

    def commit(self, snapshot: Snapshot) -> None:
        """Make ``snapshot`` the vault's state, then delete what it does not name."""
        self.home.replace(MANIFEST, snapshot.to_bytes())
        self.kek = snapshot.kek
        manifest = snapshot.manifest
        current: list[Row[Any]] = [*manifest.rows.values(), *filter(None, (manifest.place,))]
        named = {_record_name(row.record_id) for row in current}
        for name in self._records.names():
            if (_RECORD_NAME.fullmatch(name) and name not in named) or files.is_temporary(name):
                self._records.remove(name)
        for name in filter(files.is_temporary, self.home.names()):
            self.home.remove(name)

    def put(
        self, snapshot: Snapshot, entry: UserEntry, embeddings: NDArray[np.float32]
    ) -> Snapshot:
        """Write a new record of (n, D) unit rows and return the snapshot that names it."""
        row = self._write(snapshot, entry, embeddings)
        return replace(snapshot, manifest=snapshot.manifest.having(row))

    def put_place(
        self, snapshot: Snapshot, entry: PlaceEntry, voices: NDArray[np.float32]
    ) -> Snapshot:
        """Write the place's record of (n, D) unit rows and return the snapshot that names it."""
        row = self._write(snapshot, entry, voices)
        return replace(snapshot, manifest=snapshot.manifest.at(row))

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
        return self._read(snapshot, row, f"the template of {name!a}", "enroll again")

    def get_place(self, snapshot: Snapshot) -> NDArray[np.float32] | None:
        """Return the (n, D) voices of the place, if one is known; AuthenticationError."""
        row = snapshot.manifest.place
        if row is None:
            return None
        return self._read(snapshot, row, "what was learned of the place", "calibrate again")

    def _write(
        self, snapshot: Snapshot, entry: Entry, embeddings: NDArray[np.float32]
    ) -> Row[Entry]:
        record_id = secrets.token_bytes(ID_BYTES)
        generation = snapshot.manifest.generation
        payload = transform.protect(embeddings, snapshot.vmk, record_id).astype(_STORED_DTYPE)
        context = record_context(entry, record_id, generation)
        blob = seal(payload.tobytes(), snapshot.vmk, context)
        self._records.replace(_record_name(record_id), blob)
        return Row(entry, record_id, generation, sha256(blob).digest())

    def _read(
        self, snapshot: Snapshot, row: Row[Entry], noun: str, hint: str
    ) -> NDArray[np.float32]:
        blob = self._records.read(_record_name(row.record_id), _RECORD_LIMIT)
        if sha256(blob).digest() != row.digest:
            raise AuthenticationError(f"{noun} was altered or is an old one", hint)
        context = record_context(row.entry, row.record_id, row.generation)
        rows = np.frombuffer(unseal(blob, snapshot.vmk, context), dtype=_STORED_DTYPE)
        protected = rows.reshape(-1, row.entry.identity.embedding_size)
        return transform.recover(protected, snapshot.vmk, row.record_id)

    def _load(self) -> Snapshot:
        return Snapshot.from_bytes(read_manifest_file(self.home), self.kek)


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


def record_context(entry: UserEntry | PlaceEntry, record_id: bytes, generation: int) -> Context:
    """Return what a record is bound to: the claimed user or the microphone, and the model."""
    identity = entry.identity
    fields = (
        entry.bound_to.encode(),
        identity.model_sha256,
        identity.feature_sha256,
        identity.embedding_size.to_bytes(4, "big"),
        identity.dtype.encode(),
        transform.TRANSFORM_ID,
        generation.to_bytes(8, "big"),
    )
    return Context(entry.purpose, record_id, fields)


def _record_name(record_id: bytes) -> str:
    return f"{record_id.hex()}.eut"
