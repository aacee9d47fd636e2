"""Writes a model package whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from edge_unlock.encoder.package import MANIFEST_NAME, FileName, ModelPackage
from edge_unlock.errors import ModelError
from edge_unlock_convert.errors import ConversionError


def check_target(directory: Path, *, replace: bool) -> None:
    """Whether a package may be written there; asked before the long work starts."""
    if directory.exists() and not replace:
        raise ConversionError(
            f"{directory} exists already", "Choose another directory, or replace it with --force."
        )
    if directory.exists() and not directory.is_dir():
        raise ConversionError(f"{directory} is no directory", "Choose another directory.")
    if directory.exists():
        _check_package(directory)


def package_name(directory: Path, said: str | None = None) -> str:
    """The name in the manifest, which is that of the directory where nobody says another.

    Raises ``ConversionError`` for one that no manifest can hold.
    """
    name = said or Path(os.path.realpath(directory)).name
    try:
        return msgspec.convert(name, FileName)
    except msgspec.ValidationError as error:
        raise ConversionError(
            f"a package cannot have the name {name!r}",
            "Say another: letters, digits, dots, dashes and underscores, 100 at most.",
        ) from error


def _check_package(directory: Path) -> None:
    """What is replaced is deleted: it must be a package, and nothing else."""
    found = list(directory.iterdir())
    is_package = not found or directory / MANIFEST_NAME in found
    if directory.is_symlink() or not is_package or any(one.is_dir() for one in found):
        raise ConversionError(
            f"{directory} is no package that could be replaced: --force would delete what is there",
            "Name the directory of the package itself.",
        )


def write_package(directory: Path, files: Mapping[str, bytes], *, replace: bool) -> None:
    """Write ``files`` as the directory, which appears complete or not at all.

    A package that stands there is replaced only when ``replace`` says so. Raises
    ``ConversionError`` when the disk is full, the place cannot be written, or the device would
    refuse the package.
    """
    check_target(directory, replace=replace)
    made: Path | None = None
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        made.chmod(0o755)
        for name, data in files.items():
            _write(made / name, data)
        _check_accepted(made, directory)
        _swap(made, directory)
    except OSError as error:
        raise ConversionError(
            f"cannot write {directory}: {error.strerror}",
            "Make room, or choose another directory. Nothing was written.",
        ) from error
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _check_accepted(made: Path, directory: Path) -> None:
    try:
        ModelPackage.load(made)
    except ModelError as error:
        message = str(error).replace(str(made), str(directory))
        raise ConversionError(
            f"the device would refuse what was made: {message}", "Nothing was written."
        ) from error


def _swap(made: Path, directory: Path) -> None:
    old = made.with_name(f"{made.name}.old")
    if directory.exists():
        directory.rename(old)
    try:
        made.rename(directory)
    except BaseException:  # Ctrl-C as well must not leave the place empty
        with contextlib.suppress(FileNotFoundError):
            old.rename(directory)
        raise
    shutil.rmtree(old, ignore_errors=True)
