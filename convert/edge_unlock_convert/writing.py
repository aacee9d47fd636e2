"""Writes files that appear whole or not at all."""

import tempfile
from pathlib import Path

from edge_unlock_convert.errors import ConversionError


def write(path: Path, data: bytes | memoryview) -> None:
    """Write a file that appears complete or not at all; until then what stands there stays.

    Raises ``ConversionError`` where it cannot be.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a device or a pipe keeps its place
            return
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as made:
            new = Path(made) / path.name
            new.write_bytes(data)
            new.replace(path)
    except OSError as error:
        raise _cannot(path, error) from error


def make_directory(path: Path) -> None:
    """Make a directory where there is none. Raises ``ConversionError``."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot(path, error) from error


def _cannot(path: Path, error: OSError) -> ConversionError:
    return ConversionError(
        f"cannot write {path}: {error.strerror}", "Make room, or choose another path."
    )
