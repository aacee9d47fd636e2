"""The key slot of a vault: by which key it opens."""

from edge_unlock.errors import KeySourceError
from edge_unlock.vault.container import Header
from edge_unlock.vault.directory import Directory
from edge_unlock.vault.keys import Kek, KeySource
from edge_unlock.vault.sources import kind_of
from edge_unlock.vault.store import read_manifest_file


def key_slot(directory: Directory) -> Header:
    """What the vault says of its key; true only once that opened it."""
    return Header.read(read_manifest_file(directory), "key slot")


def recover(directory: Directory, source: KeySource) -> Kek:
    """Return the key of the vault; without the lock, for somebody may have to be asked.

    So the key may be changed by another process meanwhile: then it is looked for again. Raises
    KeySourceError when the key cannot be had, or is of another kind.
    """
    header = key_slot(directory)
    if header.kek_id != source.kek_id:
        raise KeySourceError(
            f"the vault opens by {kind_of(header.kek_id)}, not by {source.kind}",
            "name the right key source in the configuration",
        )
    try:
        return source.recover(header.record_id, header.kek_parameters)
    except KeySourceError:
        present = key_slot(directory)
        if (present.kek_id, present.kek_parameters) == (header.kek_id, header.kek_parameters):
            raise
    return recover(directory, source)
