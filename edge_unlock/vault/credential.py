"""A systemd credential: a key that systemd decrypts for one service, and for nobody else.

``LoadCredentialEncrypted=edge-unlock.key`` in the unit has systemd decrypt it with the host's
key (/var/lib/systemd/credential.secret, readable by root), with the TPM, or with both, into
memory that the service's user alone can read. See systemd.exec(5) and systemd-creds(1).
"""

import os
from pathlib import Path
from typing import ClassVar, Final

from edge_unlock import files
from edge_unlock.errors import KeySourceError, VaultError
from edge_unlock.vault.container import KEK_PARAMETER_BYTES, KEY_BYTES
from edge_unlock.vault.keys import Kek, KeySource

NAME: Final = "edge-unlock.key"
"""The credential: 32 random bytes, or those in hex."""

DIRECTORY_VARIABLE: Final = "CREDENTIALS_DIRECTORY"
_MAX_BYTES: Final = 2 * KEY_BYTES + 2  # in hex, and the end of the line


class SystemdCredential(KeySource):
    """The key that systemd hands to the service.

    It protects a copied vault, and with a TPM a stolen card too.
    """

    kind: ClassVar[str] = "systemd-credential"
    kek_id: ClassVar[int] = 3

    def new(self, vault_id: bytes) -> Kek:
        """Return the credential, which somebody has made already."""
        return self.recover(vault_id, bytes(KEK_PARAMETER_BYTES))

    def recover(self, vault_id: bytes, parameters: bytes) -> Kek:
        """Read the credential; KeySourceError when systemd has not given it, or it is no key."""
        directory = os.environ.get(DIRECTORY_VARIABLE)
        if not directory:
            raise KeySourceError(
                "no key: systemd has given no credentials to this process",
                f"run it in a unit with LoadCredentialEncrypted={NAME}, see the README",
            )
        path = Path(directory) / NAME
        try:
            data = files.read_path(path, _MAX_BYTES, files.check_secret)
        except VaultError as error:
            raise KeySourceError(
                f"no key: {error}", f"give the unit LoadCredentialEncrypted={NAME}, see the README"
            ) from error
        return Kek(self.kek_id, parameters, _key(data))


def _key(data: bytes) -> bytes:
    if len(data) == KEY_BYTES:
        return data
    try:
        key = bytes.fromhex(data.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeySourceError(
            f"no key: the credential {NAME} is neither {KEY_BYTES} bytes nor those in hex",
            "make it anew: openssl rand -hex 32",
        )
    return key
