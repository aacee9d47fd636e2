"""A decision in the making: what is enrolled, and what it costs to compare with it.

All of it happens under the vault's lock and on its present state. Nothing may be compared before
``charge`` has returned, for then it is on the disk; a kill at any moment leaves it charged.
"""

from functools import cached_property

from edge_unlock.vault.attempts import Attempts
from edge_unlock.vault.audit import AuditLog
from edge_unlock.vault.journal import Journal
from edge_unlock.vault.policy import Policy
from edge_unlock.vault.record import ModelIdentity, Place, Template
from edge_unlock.vault.snapshot import Snapshot
from edge_unlock.vault.store import Store
from edge_unlock.vault.templates import (
    decoy_of,
    named_templates,
    place_of,
    template_of,
    templates_of,
)

ATTEMPTS = "attempts"


class Turn:
    """An open transaction of a vault; what is not finished when it ends counts as charged."""

    def __init__(self, store: Store, audit: AuditLog, snapshot: Snapshot) -> None:
        self._store = store
        self._audit = audit
        self._snapshot = snapshot
        self._journal = Journal(store, ATTEMPTS)
        self.attempts = Attempts.from_bytes(self._journal.load(snapshot))
        """The counters as they are on the disk."""

    @property
    def generation(self) -> int:
        """Grows with every change of who is enrolled, and of their templates."""
        return self._snapshot.manifest.generation

    def check(self, policy: Policy) -> None:
        """Raise PolicyError if decisions are to be made by another policy than this."""
        self._snapshot.agreeing(policy)

    @cached_property
    def enrolled(self) -> list[str]:
        """The names of who is enrolled."""
        return sorted(self._snapshot.manifest.rows)

    def template(self, name: str, identity: ModelIdentity) -> Template:
        """Return the template of ``name``, and of a name that nobody bears one of nobody.

        Raises StaleTemplateError, AuthenticationError.
        """
        if name in self._snapshot.manifest.rows:
            return template_of(self._store, self._snapshot, name, identity)
        return decoy_of(self._store, self._snapshot, name, identity)

    def templates(self, identity: ModelIdentity) -> list[Template]:
        """Return the templates of this model, as ``Vault.templates`` does."""
        return templates_of(self._store, self._snapshot, identity)

    def housemates(self, name: str, identity: ModelIdentity, most: int) -> list[Template]:
        """Return the templates of this model of others than ``name``, of the first ``most``."""
        rows = self._snapshot.manifest.rows
        fresh = [one for one in self.enrolled if rows[one].entry.identity == identity]
        others = [one for one in fresh if one != name][:most]
        return named_templates(self._store, self._snapshot, others)

    def place(self, identity: ModelIdentity, microphone: str) -> Place | None:
        """Return what was learned of the place, as ``Vault.place`` does."""
        return place_of(self._store, self._snapshot, identity, microphone)

    def charge(self, attempts: Attempts) -> None:
        """Write the counters to disk; they hold even if nothing else of this turn comes to be."""
        self._journal.save(self._snapshot, attempts.to_bytes())
        self._store.begin()
        self.attempts = attempts

    def finish(self, attempts: Attempts, event: str, **fields: str | int | bool | None) -> None:
        """Add the line of this turn to the log, and have these counters written with it."""
        self._audit.append(event, **fields)
        self._journal.save(self._snapshot, attempts.to_bytes())
        self.attempts = attempts
