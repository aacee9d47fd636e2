"""Says which files a report is made of, and who answers for them.

``SHA256SUMS`` is as ``sha256sum --check`` reads it; it is signed as it is.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_unlock.encoder.signature import read_public_key
from edge_unlock_convert.errors import ConversionError

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
CONTEXT = b"edge-unlock forensic report 1\n"
"""Stands before the signed bytes, so that no signature made for something else can serve."""


def sums(files: Mapping[str, bytes]) -> bytes:
    """The line of each file."""
    return lines({name: sha256(data).hexdigest() for name, data in files.items()})


def lines(digests: Mapping[str, str]) -> bytes:
    """The lines of files by their SHA-256 in hex."""
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()


def sign(summed: bytes, key: Ed25519PrivateKey) -> bytes:
    """The signature in hex, which is the same every time."""
    return key.sign(CONTEXT + summed).hex().encode() + b"\n"


def check(directory: Path, key_path: Path) -> list[str]:
    """The files of a report that are as they were signed by the owner of a public key.

    Raises ``ConversionError`` where one is not, and ``ModelError`` for what is no public key.
    """
    key = read_public_key(key_path)
    try:
        summed = (directory / SUMS).read_bytes()
        signature = bytes.fromhex((directory / SIGNATURE).read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise ConversionError(
            f"{directory} holds no signed report", f"It needs {SUMS} and {SIGNATURE}."
        ) from error
    try:
        key.verify(signature, CONTEXT + summed)
    except InvalidSignature as error:
        raise ConversionError(
            f"the signature of {directory} is not by the given key",
            "The report was altered, or somebody else signed it: do not use it.",
        ) from error
    named = [line.split("  ", 1) for line in summed.decode().splitlines()]
    for digest, name in named:
        path = directory / name
        if not path.is_file() or sha256(path.read_bytes()).hexdigest() != digest:
            raise ConversionError(
                f"{path} is not as it was signed", "Get the report again from whoever signed it."
            )
    return [name for _, name in named]
