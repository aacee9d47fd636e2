"""Small sealed state beside the manifest, which changes far more often than it.

One file holds all of it, in sections: the attempt counters and the end of the audit log. So they
are always of one moment, and ``turn`` tells which: ``store`` compares it with the manifest's.

The file's key is kept inside the manifest, not derived from the master key: so ``remove`` and
``rekey`` can change the master key with a single rename and lose neither counters nor log.
"""

from typing import Annotated, Final

import msgspec

from edge_unlock.errors import AuthenticationError
from edge_unlock.vault.container import HEADER_BYTES, STATE_FILE, Context, seal, unseal

STATE: Final = "state.eus"
STATE_LIMIT: Final = HEADER_BYTES + STATE_FILE.max_length
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
        return seal(msgspec.json.encode(self), key, Context(PURPOSE, vault_id), form=STATE_FILE)

    @classmethod
    def unsealed(cls, blob: bytes, key: bytes, vault_id: bytes) -> "State":
        """Undo ``sealed``; AuthenticationError when it is not that."""
        return cls.parsed(unseal(blob, key, Context(PURPOSE, vault_id), form=STATE_FILE))

    @classmethod
    def parsed(cls, data: bytes) -> "State":
        """Return what the JSON ``data`` holds; AuthenticationError when it is not that."""
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise AuthenticationError("the state is authentic but not understood") from error
