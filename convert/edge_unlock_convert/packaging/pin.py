"""Writes which package ships into the program: its name, and the SHA-256 of its manifest."""

from pathlib import Path

from edge_unlock.encoder import shipped
from edge_unlock.encoder.package import ModelPackage
from edge_unlock_convert.errors import ConversionError
from edge_unlock_convert.packaging.package import package_name

TEXT = '''"""The model package that ships. Written by `edge-unlock-convert pin`: do not edit."""

NAME = "{name}"
MANIFEST_SHA256 = "{sha256}"
"""Of ``manifest.json``, which names the SHA-256 of every other file that is run."""
'''


def pin(package: Path) -> Path:
    """Pin the package in the sources of edge-unlock; returns the module that was written.

    Raises ``ModelError`` for a package that a device would refuse, and ``ConversionError`` when
    the sources cannot be written, or the directory has no name that a package can have.
    """
    name = package_name(package)
    sha256 = ModelPackage.load(package).manifest_sha256.hex()
    module = Path(shipped.__file__)
    try:
        module.write_text(TEXT.format(name=name, sha256=sha256))
    except OSError as error:
        raise ConversionError(
            f"cannot write {module}: {error.strerror}", "Run this in a checkout of the sources."
        ) from error
    return module
