"""Writes what a command made."""

from pathlib import Path

from edge_unlock_convert.errors import ConversionError


def write(path: Path, data: bytes) -> None:
    """Write a file whole. Raises ``ConversionError`` where it cannot be, and leaves none."""
    try:
        path.write_bytes(data)
    except OSError as error:
        path.unlink(missing_ok=True)
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
