"""Makes Ed25519 keys and signs packages; ``edge_unlock.encoder.signature`` checks on the device."""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from edge_unlock.encoder.package import MANIFEST_NAME, ModelPackage
from edge_unlock.encoder.signature import CONTEXT, SIGNATURE_NAME
from edge_unlock_convert.errors import ConversionError

PUBLIC_SUFFIX = ".pub"


def make_key(path: Path) -> Path:
    """Write a new private key (mode 0600) at ``path`` and its public key beside it.

    Returns the path of the public key. Raises ``ConversionError`` where a key lies already.
    """
    key = Ed25519PrivateKey.generate()
    public = path.with_name(path.name + PUBLIC_SUFFIX)
    private_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public_pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write_new(public, public_pem, 0o644)
    try:
        _write_new(path, private_pem, 0o600)
    except ConversionError:
        public.unlink()  # both or none
        raise
    return public


def sign(directory: Path, key_path: Path) -> Path:
    """Sign the manifest of a package that is whole; returns the path of the signature.

    Raises ``ModelError`` for a package that the device would refuse, and ``ConversionError``
    for a key that is absent, or that others can read.
    """
    ModelPackage.load(directory)
    key = read_private_key(key_path)
    signature = key.sign(CONTEXT + (directory / MANIFEST_NAME).read_bytes())
    target = directory / SIGNATURE_NAME
    made = target.with_name(f".{SIGNATURE_NAME}.new")
    try:
        made.write_text(signature.hex() + "\n")
        made.replace(target)
    except OSError as error:
        made.unlink(missing_ok=True)
        raise ConversionError(
            f"cannot write {target}: {error.strerror}", "Make room, or check its permissions."
        ) from error
    return target


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """The key in a PEM file that is its owner's alone. Raises ``ConversionError``."""
    hint = "Make one with: edge-unlock-convert sign PACKAGE --key FILE --new-key"
    try:
        if path.stat().st_mode & 0o077:
            raise ConversionError(
                f"others may read the private key {path}", f"Keep it to yourself: chmod 600 {path}"
            )
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConversionError(f"cannot read the key {path}: {error.strerror}", hint) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConversionError(f"{path} is no private key without a password", hint) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConversionError(f"{path} is no Ed25519 key", hint)
    return key


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
                file.write(data)
        except OSError:
            path.unlink(missing_ok=True)  # half a key
            raise
    except OSError as error:
        raise ConversionError(
            f"cannot write the key {path}: {error.strerror}", "Choose a path where no file lies."
        ) from error
