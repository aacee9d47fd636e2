"""A vault sealed anew, whole or without somebody, under another key."""

from edge_unlock.vault.keys import Kek, KeySource
from edge_unlock.vault.snapshot import Snapshot
from edge_unlock.vault.store import Store
from edge_unlock.vault.templates import members_of


def renewed(
    store: Store, snapshot: Snapshot, without: str | None = None, *, keep_place: bool = True
) -> Snapshot:
    """Leave out somebody, or the place, under a new key where the source can make one."""
    source = store.source
    kek = source.new(snapshot.vault_id) if source.renewable else snapshot.kek
    return resealed(store, snapshot, kek, source, without, keep_place=keep_place)


def resealed(
    store: Store,
    snapshot: Snapshot,
    kek: Kek,
    source: KeySource,
    without: str | None = None,
    *,
    keep_place: bool = True,
) -> Snapshot:
    """Seal what is left under ``kek`` of ``source``; the former key goes with the commit.

    Raises KeySourceError when the key cannot be kept.
    """
    left = members_of(store, snapshot, without)
    place, voices = snapshot.manifest.place, store.get_place(snapshot)
    source.keep(snapshot.vault_id, kek, snapshot.kek)
    former, vault_id = store.source, snapshot.vault_id

    def settle() -> None:
        store.source = source
        for one in (source, former):
            one.settle(vault_id, kek)

    store.afterwards(settle)
    snapshot = snapshot.rekeyed(kek)
    if keep_place and place is not None and voices is not None:
        snapshot = store.put_place(snapshot, place.entry, voices)
    return store.put(snapshot, left)
