"""Small sealed state beside the manifest, which changes far more often than it.

Its key is kept inside the manifest, not derived from the master key: so ``remove`` and
``rekey`` can change the master key with a single rename and lose neither counters nor log.
"""

from collections.abc import Callable
from typing import Final

from edge_unlock.vault.container import HEADER_BYTES, VAULT_FILE, Context, seal, unseal
from edge_unlock.vault.store import Snapshot, Store

_LIMIT: Final = HEADER_BYTES + VAULT_FILE.max_length


class Journal:
    """One sealed file, which must exist: a missing one raises AuthenticationError."""

    def __init__(self, store: Store, name: str, purpose: str) -> None:
        self.store = store
        self._name = name
        self._purpose = purpose

    def load(self, snapshot: Snapshot) -> bytes:
        """Return the state; to be called within ``store.reading`` or ``store.writing``."""
        key = snapshot.journal_key(self._purpose)
        return unseal(self.store.home.read(self._name, _LIMIT), key, self._context(snapshot))

    def save(self, snapshot: Snapshot, state: bytes) -> None:
        """Replace the state; to be called within ``store.writing``, or on creation."""
        key = snapshot.journal_key(self._purpose)
        self.store.home.replace(self._name, seal(state, key, self._context(snapshot)))

    def read(self) -> bytes:
        """Return the state."""
        with self.store.reading() as snapshot:
            return self.load(snapshot)

    def update(self, change: Callable[[bytes], bytes]) -> None:
        """Replace the state by what ``change`` makes of it, under the lock."""
        with self.store.writing() as snapshot:
            self.save(snapshot, change(self.load(snapshot)))

    def _context(self, snapshot: Snapshot) -> Context:
        return Context(self._purpose, snapshot.vault_id)
