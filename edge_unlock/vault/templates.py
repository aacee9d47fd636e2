"""What the vault's records say: templates of people, and what was learned of a place."""

import numpy as np

from edge_unlock.errors import StaleTemplateError
from edge_unlock.vault import transform
from edge_unlock.vault.container import ID_BYTES, derive
from edge_unlock.vault.record import ModelIdentity, Place, Template, unit_rows
from edge_unlock.vault.snapshot import Snapshot
from edge_unlock.vault.store import Store, row_of


def template_of(store: Store, snapshot: Snapshot, name: str, identity: ModelIdentity) -> Template:
    """Return the template of ``name``; errors as of ``Store.get``."""
    rows = store.get(snapshot, name, identity)
    rows.flags.writeable = False
    row = row_of(snapshot, name)
    return Template(name, rows, row.entry.created, row.generation, row.entry.operating_point)


def templates_of(store: Store, snapshot: Snapshot, identity: ModelIdentity) -> list[Template]:
    """Return the templates of ``identity``, by name; those of other models are left out.

    Raises StaleTemplateError when that leaves none of those who are enrolled.
    """
    rows = snapshot.manifest.rows
    fresh = sorted(name for name in rows if rows[name].entry.identity == identity)
    if rows and not fresh:
        raise StaleTemplateError(
            "everybody was enrolled with another model", "enroll again with the present one"
        )
    return [template_of(store, snapshot, name, identity) for name in fresh]


def place_of(
    store: Store, snapshot: Snapshot, identity: ModelIdentity, microphone: str
) -> Place | None:
    """Return what was learned of the place with this model and microphone, if anything was."""
    row = snapshot.manifest.place
    if row is None or (row.entry.identity, row.entry.microphone) != (identity, microphone):
        return None
    voices = store.get_place(snapshot)
    if voices is None:
        return None
    voices.flags.writeable = False
    return Place(row.entry, voices)


def decoy_of(snapshot: Snapshot, name: str, identity: ModelIdentity) -> Template:
    """Return a template of nobody for a name that nobody bears: always the same direction.

    It takes the work of opening a real one, so that the time does not tell either.
    """
    size = identity.embedding_size
    seed = derive(snapshot.manifest.journal_key, "decoy", salt=name.encode(), length=ID_BYTES)
    rows = transform.recover(np.eye(1, size, dtype=np.float32), snapshot.vmk, seed)
    return Template(name, unit_rows(rows, size), "", 0, None, is_decoy=True)
