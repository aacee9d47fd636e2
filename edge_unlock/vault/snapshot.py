"""What a vault holds at one moment; ``store`` reads and writes it."""

import secrets
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from edge_unlock.errors import AuthenticationError, PolicyError, WrongKeyError
from edge_unlock.vault.container import (
    HEADER_BYTES,
    KEY_BYTES,
    Context,
    Header,
    derive,
    seal,
    unseal,
)
from edge_unlock.vault.keys import Kek
from edge_unlock.vault.manifest import Manifest
from edge_unlock.vault.policy import Policy
from edge_unlock.vault.state import State

_EMPTY: Final = State(turn=1, unsettled=True, sections={})


@dataclass(frozen=True)
class Snapshot:
    """What manifest file and state file held at one moment, or are to hold next."""

    kek: Kek
    vault_id: bytes
    vmk: bytes
    manifest: Manifest
    state: State = _EMPTY

    @classmethod
    def new(cls, kek: Kek, vault_id: bytes) -> "Snapshot":
        """Return the state of a vault without users."""
        return cls(kek, vault_id, secrets.token_bytes(KEY_BYTES), Manifest.new())

    def following(self) -> "Snapshot":
        """Return the state that the next change starts from."""
        return replace(self, manifest=self.manifest.following())

    def under(self, policy: Policy | None) -> "Snapshot":
        """Return the same of a vault whose decisions are made by ``policy``."""
        return replace(self, manifest=self.manifest.under(policy))

    def agreeing(self, policy: Policy) -> "Snapshot":
        """Return the same, under ``policy`` if none is sealed; PolicyError if another is."""
        if self.manifest.policy is None:
            return self.under(policy)
        if self.manifest.policy != policy:
            raise PolicyError("what decisions are made by was changed meanwhile", "start again")
        return self

    def rekeyed(self, kek: Kek) -> "Snapshot":
        """Return a following state under a fresh master key, into which all users must be put."""
        manifest = self.manifest.following().emptied()
        return replace(self, kek=kek, vmk=secrets.token_bytes(KEY_BYTES), manifest=manifest)

    def journal_key(self, purpose: str) -> bytes:
        """Return the key of the sealed state, or of the audit log's chain."""
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
