"""One section of the vault's state, for whoever keeps something in it."""

from edge_unlock.errors import AuthenticationError
from edge_unlock.vault.snapshot import Snapshot
from edge_unlock.vault.store import Store


class Journal:
    """Loads a section from a snapshot, and stages it for the next."""

    def __init__(self, store: Store, purpose: str) -> None:
        self._store = store
        self._purpose = purpose

    def load(self, snapshot: Snapshot) -> bytes:
        """Return the section as it is in ``snapshot``."""
        try:
            return snapshot.state.sections[self._purpose]
        except KeyError as error:
            raise AuthenticationError(f"the state has no section {self._purpose}") from error

    def save(self, snapshot: Snapshot, data: bytes) -> None:
        """Replace the section when the present change is settled; within ``store.writing``."""
        self._store.stage({self._purpose: data})
