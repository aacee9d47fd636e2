"""A key file: protects a copied vault, not a stolen card.

The file holds the id of the one vault that it is for, then 32 random bytes; while the key
changes, the present key and behind it the next, so that after a crash at any byte the vault
still finds its own; while a vault is made, its key twice. A former key is overwritten in place
before its file goes. What survives that is the medium's affair: an SD card or SSD writes
elsewhere what is overwritten, and keeps the old block until it needs it; so do file systems
that copy on write, and backups.

Releases up to 0.1.0 wrote the 32 bytes alone, and let vaults share them. Such a file is read,
but never destroyed: it may be the only key of another vault.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from edge_unlock import files
from edge_unlock.errors import KeySourceError, VaultError, VaultMissingError, WrongKeyError
from edge_unlock.vault.container import ID_BYTES, KEK_PARAMETER_BYTES, KEY_BYTES, derive
from edge_unlock.vault.keys import Kek, KeySource

VAULT_PLACEHOLDER: Final = "{vault}"
_MAX_BYTES: Final = ID_BYTES + 2 * KEY_BYTES
_SHARED: Final = bytes(KEK_PARAMETER_BYTES)  # the header of a vault whose key others may share
_NAME_ANOTHER: Final = "name another file with `keyfile` in config.toml"


@dataclass(frozen=True)
class _Contents:
    """What a key file holds."""

    vault_id: bytes
    """Whose keys these are; empty in a file of an earlier release."""
    keys: tuple[bytes, ...]

    @classmethod
    def parse(cls, data: bytes, path: Path) -> "_Contents":
        if len(data) == KEY_BYTES:
            return cls(b"", (data,))
        keys = data[ID_BYTES:]
        if len(keys) not in (KEY_BYTES, 2 * KEY_BYTES):
            raise WrongKeyError(f"no key: {path} is not a key file", "restore it from a backup")
        return cls(data[:ID_BYTES], tuple(filter(None, (keys[:KEY_BYTES], keys[KEY_BYTES:]))))

    @property
    def is_founding(self) -> bool:
        """Whether the vault was not there yet when this was written: no other key is doubled."""
        return len(self.keys) > 1 and len(set(self.keys)) == 1

    def pack(self) -> bytes:
        return self.vault_id + b"".join(self.keys)


class KeyFile(KeySource):
    """A key in a file of mode 0600.

    ``{vault}`` in the path stands for the vault's id in hex. ``shared`` is where an earlier
    release may have left the key; without it, beside the path with ``.old`` behind its name.
    """

    kind: ClassVar[str] = "keyfile"
    kek_id: ClassVar[int] = 1
    renewable: ClassVar[bool] = True

    def __init__(self, path: Path, shared: Path | None = None) -> None:
        self.path = path
        self._shared = shared or Path(f"{path}.old")  # a path may have no name

    def place(self, vault_id: bytes) -> Path:
        """Return the path of the file for that vault."""
        return Path(str(self.path).replace(VAULT_PLACEHOLDER, vault_id.hex()))

    def new(self, vault_id: bytes) -> Kek:
        """Draw a key."""
        key = secrets.token_bytes(KEY_BYTES)
        return Kek(self.kek_id, _parameters(vault_id, key), key)

    def recover(self, vault_id: bytes, parameters: bytes) -> Kek:
        """Read the key from the vault's file, which must be private.

        Raises KeySourceError; WrongKeyError when the file holds other keys.
        """
        path = self.place(vault_id)
        found = _read(path)
        if parameters == _SHARED and (found is None or found.vault_id):
            found = _read(self._shared) or found
        if found is None:
            raise KeySourceError(f"no key: {path} does not exist", "restore it from a backup")
        if found.vault_id not in (b"", vault_id):
            raise WrongKeyError(f"{path} is the key of another vault", _NAME_ANOTHER)
        for key in found.keys:
            if parameters in (_SHARED, _parameters(vault_id, key)):
                return Kek(self.kek_id, parameters, key)
        raise WrongKeyError(
            f"the key in {path} does not open the vault",
            "restore the key file; if it is the right one, the vault was altered",
        )

    def keep(self, vault_id: bytes, kek: Kek, present: Kek | None) -> None:
        """Write the file; one that is another vault's, or may be, is refused."""
        path = self.place(vault_id)
        with _changing(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = _read(path)
            former = present.key if present and present.id == self.kek_id else b""
            if found and not found.vault_id and found.keys == (former,):
                self._leave_to_others(former)
            elif found and (
                found.vault_id != vault_id or (present is None and not found.is_founding)
            ):  # an id that was planted for the new vault may be that of another one
                raise KeySourceError(f"{path} exists, and may open another vault", _NAME_ANOTHER)
            keys = (former or kek.key, kek.key) if former or present is None else (kek.key,)
            _write(path, _Contents(vault_id, keys), exists=found is not None)
            try:
                _read(path)
            except KeySourceError:  # a file system without modes shows it to all
                if found is None:
                    with files.parent_of(path) as directory:
                        files.destroy_secret(
                            path.name, directory, str(path), 0, files.check_nothing
                        )
                raise

    def is_settled(self, vault_id: bytes, kek: Kek) -> bool:
        """Say whether the vault's file, if there is one, holds ``kek`` and nothing else."""
        found = _read(self.place(vault_id))
        return found is None or found.vault_id != vault_id or found.keys == (kek.key,)

    def settle(self, vault_id: bytes, kek: Kek) -> None:
        """Overwrite every other key in the vault's file; delete it when nothing is left."""
        if self.is_settled(vault_id, kek):
            return
        path = self.place(vault_id)
        found = _read(path)
        with _changing(path), files.parent_of(path) as directory:
            if found and kek.key in found.keys:
                _write(path, _Contents(vault_id, (kek.key,)), exists=True)
            else:
                files.destroy_secret(path.name, directory, str(path), ID_BYTES)

    def lies_within(self, home: Path, vault_id: bytes) -> bool:
        """Say whether who copies the directory ``home`` of the vault copies the key with it."""
        return home.resolve() in self.place(vault_id).resolve().parents

    def _leave_to_others(self, key: bytes) -> None:
        """Keep the key of an earlier release where other vaults that share it look next."""
        if _read(self._shared) != _Contents(b"", (key,)):
            _write(self._shared, _Contents(b"", (key,)), exists=False)


def is_shared(kek: Kek) -> bool:
    """Say whether the key is one of an earlier release, which other vaults may share."""
    return kek.id == KeyFile.kek_id and kek.parameters == _SHARED


def _parameters(vault_id: bytes, key: bytes) -> bytes:
    """What a header says of the key, so that it can be told from another: nothing secret."""
    name = derive(key, "key file", salt=vault_id, length=ID_BYTES)
    return name.ljust(KEK_PARAMETER_BYTES, b"\0")


def _read(path: Path) -> _Contents | None:
    """Return what the file holds, or None when there is none."""
    try:
        files.check_parents(path)
        with files.parent_of(path) as directory:
            data = files.read(path.name, directory, str(path), _MAX_BYTES)
    except VaultMissingError:
        return None
    except VaultError as error:
        raise KeySourceError(f"no key: {error}", error.hint) from error
    return _Contents.parse(data, path)


def _write(path: Path, contents: _Contents, *, exists: bool) -> None:
    with files.parent_of(path) as directory:
        if exists:
            files.replace_secret(path.name, directory, str(path), contents.pack(), ID_BYTES)
        else:
            files.create(path.name, directory, str(path), contents.pack())


@contextmanager
def _changing(path: Path) -> Iterator[None]:
    """Turn what goes wrong with the file at ``path`` into a KeySourceError."""
    try:
        with files.os_errors(str(path)):
            yield
    except KeySourceError:
        raise
    except VaultError as error:
        raise KeySourceError(f"the key cannot be stored: {error}", error.hint) from error
