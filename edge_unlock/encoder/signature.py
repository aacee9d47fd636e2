"""Whether a model package comes from whom one trusts: a detached Ed25519 signature.

The manifest is signed; it names the SHA-256 of every other file that is run.
"""

from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from edge_unlock import files
from edge_unlock.errors import ModelError, VaultError, VaultMissingError

SIGNATURE_NAME = "manifest.sig"
MAX_KEY_BYTES = 16 * 1024
MAX_SIGNATURE_BYTES = 256
CONTEXT = b"edge-unlock model manifest 1\n"
"""Stands before the signed bytes, so that no signature made for something else can serve."""


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The Ed25519 public key in a PEM file that root or this user alone may have written.

    Raises ``ModelError``.
    """
    try:
        key = load_pem_public_key(files.read_path(path, MAX_KEY_BYTES, files.check_trusted))
    except VaultMissingError as error:
        raise ModelError(
            f"cannot read the trusted key {path}: there is none",
            "Give the .pub file of whoever signs the models.",
        ) from error
    except VaultError as error:
        raise ModelError(f"cannot read the trusted key: {error}", error.hint) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ModelError(f"{path} is no public key", "Give an Ed25519 key in PEM form.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ModelError(f"{path} is no Ed25519 key", "Give an Ed25519 key in PEM form.")
    return key


def check_signature(directory: Path, manifest: bytes, key: Ed25519PublicKey) -> None:
    """Check ``manifest.sig`` in the package's directory against the manifest's very bytes.

    Raises ``ModelError`` when the signature is absent, malformed or of another key.
    """
    path = directory / SIGNATURE_NAME
    try:
        text = files.read(path, None, str(path), MAX_SIGNATURE_BYTES, check=files.check_nothing)
        signature = bytes.fromhex(text.decode("ascii").strip())
    except (VaultError, ValueError) as error:
        raise ModelError(
            f"the model package {directory} is not signed, or its {SIGNATURE_NAME} is malformed",
            "Only signed models are accepted here: sign it with edge-unlock-convert sign.",
        ) from error
    try:
        key.verify(signature, CONTEXT + manifest)
    except InvalidSignature as error:
        raise ModelError(
            f"the signature of the model package {directory} is not by the trusted key",
            "The manifest was altered, or somebody else signed it: do not use it.",
        ) from error
