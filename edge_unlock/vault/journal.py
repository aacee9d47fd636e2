"""Small sealed state beside the manifest, which changes far more often than it.

One file holds all of it, in sections: the attempt counters and the end of the audit log. So they
are always of one moment, and ``turn`` tells which: ``store`` compares it with the manifest's.

The file's key is kept inside the manifest, not derived from the master key: so ``remove`` and
``rekey`` can change the master key with a single rename and lose neither counters nor log.
"""

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from edge_unlock.errors import AuthenticationError
from edge_unlock.vault.container import HEADER_BYTES, VAULT_FILE, Context, seal, unseal

if TYPE_CHECKING:
    from edge_unlock.vault.snapshot import Snapshot
    from edge_unlock.vault.store import Store

STATE: Final = "state.eus"
STATE_LIMIT: Final = HEADER_BYTES + VAULT_FILE.max_length
PURPOSE: Final = "state"
LEGACY_FILES: Final = {"attempts": "attempts.eus", "audit": "audit.eus"}
"""The sections as files of their own, as they were in vaults whose manifest has no turn."""


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds."""

    turn: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    """Grows with every change of the vault."""
    unsettled: bool
    """Whether the change of this turn was not finished when this was written."""
    sections: dict[str, bytes]

    def sealed(self, key: bytes, vault_id: bytes) -> bytes:
        """Return the file's bytes."""
        return seal(msgspec.json.encode(self), key, Context(PURPOSE, vault_id))

    @classmethod
    def unsealed(cls, blob: bytes, key: bytes, vault_id: bytes) -> "State":
        """Undo ``sealed``; AuthenticationError when it is not that."""
        return cls.parsed(unseal(blob, key, Context(PURPOSE, vault_id)))

    @classmethod
    def parsed(cls, data: bytes) -> "State":
        """Return what the JSON ``data`` holds; AuthenticationError when it is not that."""
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise AuthenticationError("the state is authentic but not understood") from error


class Journal:
    """One section of the state, for whoever keeps something in it."""

    def __init__(self, store: "Store", purpose: str) -> None:
        self._store = store
        self._purpose = purpose

    def load(self, snapshot: "Snapshot") -> bytes:
        """Return the section as it is in ``snapshot``."""
        try:
            return snapshot.state.sections[self._purpose]
        except KeyError as error:
            raise AuthenticationError(f"the state has no section {self._purpose}") from error

    def save(self, snapshot: "Snapshot", data: bytes) -> None:
        """Replace the section when the present change is settled; within ``store.writing``."""
        self._store.stage({self._purpose: data})
