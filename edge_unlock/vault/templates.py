"""What the vault's records say: templates of people, and what was learned of a place."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_unlock.errors import StaleTemplateError
from edge_unlock.vault import transform
from edge_unlock.vault.container import ID_BYTES, derive
from edge_unlock.vault.manifest import Row
from edge_unlock.vault.record import Member, ModelIdentity, Place, Template, UserEntry, unit_rows
from edge_unlock.vault.snapshot import Snapshot
from edge_unlock.vault.store import Store, row_of


def template_of(store: Store, snapshot: Snapshot, name: str, identity: ModelIdentity) -> Template:
    """Return the template of ``name``; errors as of ``Store.get``."""
    return _template(row_of(snapshot, name), store.get(snapshot, name, identity))


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
    return named_templates(store, snapshot, fresh)


def named_templates(store: Store, snapshot: Snapshot, names: Sequence[str]) -> list[Template]:
    """Return the templates of these names, whatever model they are of; each record opens once."""
    found = store.get_all(snapshot, names)
    return [_template(row_of(snapshot, name), found[name]) for name in names]


def _template(row: Row[UserEntry], rows: NDArray[np.float32]) -> Template:
    rows.flags.writeable = False
    entry = row.entry
    return Template(entry.name, rows, entry.created, row.generation, entry.operating_point)


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


def decoy_of(store: Store, snapshot: Snapshot, name: str, identity: ModelIdentity) -> Template:
    """Return a template of nobody for a name that nobody bears: always the same direction.

    It takes the work of opening a real one, so that the time does not tell either; errors too.
    """
    size = identity.embedding_size
    seed = derive(snapshot.manifest.journal_key, "decoy", salt=name.encode(), length=ID_BYTES)
    store.touch(snapshot, int.from_bytes(seed[:8], "big"))
    rows = transform.recover(np.eye(1, size, dtype=np.float32), snapshot.vmk, seed)
    return Template(name, unit_rows(rows, size), "", 0, None, is_decoy=True)


def members_of(store: Store, snapshot: Snapshot, without: str | None = None) -> list[Member]:
    """Everybody who is enrolled, but the one named ``without``, with their embeddings."""
    rows = snapshot.manifest.rows
    found = store.get_all(snapshot, [name for name in rows if name != without])
    return [(row.entry, found[name]) for name, row in rows.items() if name != without]
