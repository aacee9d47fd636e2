"""The export file: all templates of a vault under a passphrase, to move them elsewhere.

It holds users only. Attempt counters and the audit log stay with the device they are about.
"""

import json
import secrets
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np

from edge_unlock import files
from edge_unlock.errors import AuthenticationError, VaultError, VaultMissingError, WrongKeyError
from edge_unlock.vault.container import (
    EXPORT_FILE,
    HEADER_BYTES,
    ID_BYTES,
    VAULT_FILE,
    Context,
    Header,
    seal,
    unseal,
)
from edge_unlock.vault.manifest import MAX_USERS, entry_from_json, entry_to_json
from edge_unlock.vault.names import LookAlikes, validate_user_name
from edge_unlock.vault.passphrase import Passphrase
from edge_unlock.vault.record import Member, unit_rows

_TYPE: Final = "export"
_LENGTH: Final = struct.Struct(">I")
_STORED_DTYPE: Final = np.dtype("<f4")
_MAX_VALUES: Final = VAULT_FILE.max_length // _STORED_DTYPE.itemsize  # of one template


def write(path: Path, members: Iterable[Member], passphrase: Passphrase) -> None:
    """Write a new export file of mode 0600, whole or not at all.

    Raises VaultExistsError when ``path`` exists, KeySourceError for a weak passphrase.
    """
    export_id = secrets.token_bytes(ID_BYTES)
    kek = passphrase.new(export_id)
    blob = seal(
        _pack(members),
        kek.key,
        Context(_TYPE, export_id),
        form=EXPORT_FILE,
        kek_id=kek.id,
        kek_parameters=kek.parameters,
    )
    with files.parent_of(path) as directory:
        files.create(path.name, directory, str(path), blob)


def read(path: Path, passphrase: Passphrase) -> list[Member]:
    """Return what an export file holds.

    Raises VaultMissingError, AuthenticationError for a file that was altered or cut, and
    WrongKeyError for the wrong passphrase.
    """
    try:
        with (
            files.parent_of(path) as directory,
            # Not required to be private: it may come on a stick whose file system has no modes.
            files.opened(path.name, directory, str(path), check=files.check_nothing) as handle,
        ):
            blob = handle.read(HEADER_BYTES)
            header = Header.read(blob, _TYPE, EXPORT_FILE)
            blob += handle.read(header.length + 1)
    except VaultMissingError as error:
        raise VaultMissingError(str(error), "name a file that was exported") from error
    if len(blob) != HEADER_BYTES + header.length or header.kek_id != passphrase.kek_id:
        raise AuthenticationError(f"{path} was altered, cut short or extended", "copy it again")
    kek = passphrase.recover(header.record_id, header.kek_parameters)
    try:
        payload = unseal(blob, kek.key, Context(_TYPE, header.record_id), form=EXPORT_FILE)
    except AuthenticationError as error:
        raise WrongKeyError(
            f"the passphrase does not open {path}",
            "check the passphrase; if it is the right one, the file was altered",
        ) from error
    return _unpack(payload)


def _pack(members: Iterable[Member]) -> bytes:
    """Return the entries as JSON behind its length, then their rows, float32 little-endian."""
    listed = list(members)
    document = json.dumps([entry_to_json(entry) for entry, _ in listed]).encode()
    rows = b"".join(embeddings.astype(_STORED_DTYPE).tobytes() for _, embeddings in listed)
    return _LENGTH.pack(len(document)) + document + rows


def _unpack(payload: bytes) -> list[Member]:
    """Undo ``_pack``. Its author knew the passphrase, but need not have been this program."""
    try:
        start = _LENGTH.size
        (length,) = _LENGTH.unpack_from(payload)
        values = np.frombuffer(payload, _STORED_DTYPE, offset=start + length)
        document = json.loads(payload[start : start + length])
        if not isinstance(document, list) or len(document) > MAX_USERS:
            raise TypeError("not a list of users, or of more than a vault can hold")
        members: list[Member] = []
        known = LookAlikes()
        for entry in map(entry_from_json, document):
            _check_name(entry.name, known)
            size = entry.identity.embedding_size
            count = entry.utterances * size
            if count > min(len(values), _MAX_VALUES):
                raise ValueError("more rows than there are, or than a vault can hold")
            rows, values = values[:count], values[count:]
            members.append((entry, unit_rows(rows.reshape(entry.utterances, size), size)))
        if values.size:
            raise ValueError("more rows than users")
    except VaultError as error:
        raise VaultError(f"the export is authentic but wrong: {error}", error.hint) from error
    except (KeyError, TypeError, ValueError, RecursionError, struct.error) as error:
        raise VaultError("the export is authentic but not understood", "export again") from error
    return members


def _check_name(name: str, known: LookAlikes) -> None:
    """Raise VaultError or ValueError for a name that enrolling would have refused, else add it."""
    if validate_user_name(name) != name:
        raise ValueError("a name that is not normalised")
    alike = known.add(name)
    if alike == name:
        raise ValueError("a name that is twice there")
    if alike is not None:
        raise VaultError(
            f"{name!a} looks like {alike!a}",
            "remove one of them where the export came from, and export again",
        )
