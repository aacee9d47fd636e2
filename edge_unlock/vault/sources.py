"""The key sources that there are."""

from typing import Final

from edge_unlock.errors import VaultError
from edge_unlock.vault.credential import SystemdCredential
from edge_unlock.vault.keyfile import KeyFile
from edge_unlock.vault.keys import KeySource
from edge_unlock.vault.passphrase import Passphrase

KEY_SOURCES: Final[tuple[type[KeySource], ...]] = (
    KeyFile,
    Passphrase,
    SystemdCredential,
)


def kind_of(kek_id: int) -> str:
    """Return the name of the key source of a header's KEK id; VaultError when unknown."""
    for source in KEY_SOURCES:
        if source.kek_id == kek_id:
            return source.kind
    raise VaultError(
        f"the vault's key source {kek_id} is unknown to this release",
        "the vault was altered, or a newer release wrote it: upgrade edge-unlock",
    )
