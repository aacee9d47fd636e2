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
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_unlock.errors import (
    AuthenticationError,
    StaleTemplateError,
    UnknownUserError,
    VaultMissingError,
    WrongKeyError,
)
from edge_unlock.vault import transform
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
from edge_unlock.vault.keys import Kek, KeySource
from edge_unlock.vault.manifest import Manifest, Row
from edge_unlock.vault.record import ModelIdentity, UserEntry

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
    def new(cls, kek: Kek, vault_id: bytes) -> "Snapshot":
        """Return the state of a vault without users."""
        return cls(kek, vault_id, secrets.token_bytes(KEY_BYTES), Manifest.new())

    def following(self) -> "Snapshot":
        """Return the state that the next change starts from."""
        return replace(self, manifest=self.manifest.following())

    def rekeyed(self, kek: Kek) -> "Snapshot":
        """Return a following state under a fresh master key, into which all users must be put."""
        manifest = self.manifest.following().without_users()
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
    """The files of one vault, opened with the key-encryption key of a key source."""

    def __init__(self, home: Directory, records: Directory, kek: Kek, source: KeySource) -> None:
        self.home = home
        self._records = records
        self.kek = kek
        self.source = source

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
        """Yield the present state for a change by this writer alone. Do not nest."""
        with self.home.locked():
            self._sweep()
            yield self._load()

    def commit(self, snapshot: Snapshot) -> None:
        """Make ``snapshot`` the vault's state, then delete what it does not name."""
        self.home.replace(MANIFEST, snapshot.to_bytes())
        self.kek = snapshot.kek
        named = {_record_name(row.record_id) for row in snapshot.manifest.rows.values()}
        for name in self._records.names():
            if _RECORD_NAME.fullmatch(name) and name not in named:
                self._records.remove(name)
        self._sweep()

    def put(
        self, snapshot: Snapshot, entry: UserEntry, embeddings: NDArray[np.float32]
    ) -> Snapshot:
        """Write a new record of (n, D) unit rows and return the snapshot that names it."""
        record_id = secrets.token_bytes(ID_BYTES)
        generation = snapshot.manifest.generation
        payload = transform.protect(embeddings, snapshot.vmk, record_id).astype(_STORED_DTYPE)
        context = record_context(entry.name, entry.identity, record_id, generation)
        blob = seal(payload.tobytes(), snapshot.vmk, context)
        self._records.replace(_record_name(record_id), blob)
        row = Row(entry, record_id, generation, sha256(blob).digest())
        return replace(snapshot, manifest=snapshot.manifest.having(row))

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
        blob = self._records.read(_record_name(row.record_id), _RECORD_LIMIT)
        if sha256(blob).digest() != row.digest:
            raise AuthenticationError(
                f"the template of {name!a} was altered or is an old one", "enroll again"
            )
        context = record_context(name, identity, row.record_id, row.generation)
        rows = np.frombuffer(unseal(blob, snapshot.vmk, context), dtype=_STORED_DTYPE)
        protected = rows.reshape(-1, identity.embedding_size)
        return transform.recover(protected, snapshot.vmk, row.record_id)

    def _load(self) -> Snapshot:
        blob = read_manifest_file(self.home)
        header = Header.read(blob, "key slot")
        renewed = header.kek_id == self.kek.id and header.kek_parameters != self.kek.parameters
        if renewed and self.source.renewable:  # by another process; nobody has to be asked
            self.kek = self.source.recover(header.record_id, header.kek_parameters)
        return Snapshot.from_bytes(blob, self.kek)

    def _sweep(self) -> None:
        self.home.sweep()
        self._records.sweep()


def read_manifest_file(home: Directory) -> bytes:
    """Return the manifest file's bytes; VaultMissingError when there is none."""
    if MANIFEST not in home.names():
        raise VaultMissingError(f"there is no vault in {home.path}")
    return home.read(MANIFEST, _MANIFEST_LIMIT)


def row_of(snapshot: Snapshot, name: str) -> Row:
    """Return the row of the user ``name``; UnknownUserError when nobody has that name."""
    row = snapshot.manifest.rows.get(name)
    if row is None:
        raise UnknownUserError(f"nobody named {name!a} is enrolled", "see who is: edge-unlock list")
    return row


def record_context(
    name: str, identity: ModelIdentity, record_id: bytes, generation: int
) -> Context:
    """Return what a template is bound to: the claimed user and the running model."""
    fields = (
        name.encode(),
        identity.model_sha256,
        identity.feature_sha256,
        identity.embedding_size.to_bytes(4, "big"),
        identity.dtype.encode(),
        transform.TRANSFORM_ID,
        generation.to_bytes(8, "big"),
    )
    return Context("template", record_id, fields)


def _record_name(record_id: bytes) -> str:
    return f"{record_id.hex()}.eut"
