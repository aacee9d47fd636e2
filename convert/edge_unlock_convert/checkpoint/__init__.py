"""Reads the checkpoints of PyTorch, Keras and ONNX into the internal form.

A checkpoint is untrusted: nothing in it is executed, sizes are capped, and it is opened in a
process of its own.
"""

import stat
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edge_unlock_convert.checkpoint.isolation import (
    DESCRIPTION_NAME,
    NETWORK_NAME,
    run_worker,
    scratch,
)
from edge_unlock_convert.checkpoint.options import Options
from edge_unlock_convert.checkpoint.step import Contents
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.network import Network

if TYPE_CHECKING:
    from edge_unlock_convert.checkpoint.description import Description

__all__ = ["MAX_CHECKPOINT_BYTES", "Options", "describe", "read", "read_here"]

MAX_CHECKPOINT_BYTES = 2**30
"""Of the file and of what it unpacks to; optimizer states included."""
PROJECT_CHECKPOINT_NAME = "student.pt"
HDF5_MAGIC, ZIP_MAGIC, PICKLE_MAGIC = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x80"
TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".tar", ".model", ".safetensors")
OTHER_SUFFIXES = (".keras", ".h5", ".hdf5", ".onnx")
FORMATS_HINT = (
    "Give a PyTorch state dict (.pt), safetensors, a Keras model (.keras, .h5 or SavedModel), an "
    "ONNX model or a checkpoint directory of this project."
)


def read(path: Path, options: Options) -> Network:
    """The network of a checkpoint, read in another process.

    Raises ``CheckpointError`` when it is missing, damaged, unsafe, or holds anything but LSTM
    and dense layers that the device can run, and ``ConversionError`` when reading crashed.
    """

    with scratch() as directory:
        request = {"path": str(path.absolute()), "options": asdict(options)}
        run_worker("read", directory, request)
        return Network.load(directory / NETWORK_NAME)


def describe(path: Path, options: Options) -> "Description":
    """What is in a checkpoint and what would be made of it, read in another process.

    Raises ``CheckpointError`` when it is missing, damaged or unsafe; what merely keeps it from
    being converted is part of the description.
    """
    from edge_unlock_convert.checkpoint.description import Description

    with scratch() as directory:
        request = {"path": str(path.absolute()), "options": asdict(options)}
        run_worker("describe", directory, request)
        return msgspec.json.decode((directory / DESCRIPTION_NAME).read_bytes(), type=Description)


def read_here(path: Path, options: Options) -> Network:
    """As ``read``, in this process."""
    from edge_unlock_convert.checkpoint.assembly import assemble

    return assemble(contents(path, options), options)


def contents(path: Path, options: Options) -> Contents:
    """The layers of a checkpoint, and what is unclear about them.

    Raises ``CheckpointError`` when it is missing, damaged, unsafe or of no known format.
    """
    if path.is_dir():
        if (path / "saved_model.pb").exists():
            from edge_unlock_convert.checkpoint import keras_model

            return keras_model.read_saved_model(path, options)
        path = _project_checkpoint(path)
        options = replace(options, activation=options.activation or ["linear"])
    magic = _magic(path)
    if path.suffix == ".onnx":
        from edge_unlock_convert.checkpoint import onnx_model

        return onnx_model.read(path, options)
    if magic.startswith(HDF5_MAGIC):
        from edge_unlock_convert.checkpoint import keras_model

        return keras_model.read_hdf5(path, options)
    members = _members(path) if magic.startswith(ZIP_MAGIC) else []
    if "config.json" in members:
        from edge_unlock_convert.checkpoint import keras_model

        return keras_model.read_archive(path, options)
    is_pickle = magic.startswith(PICKLE_MAGIC) or any(m.endswith("/data.pkl") for m in members)
    if is_pickle or path.suffix in TORCH_SUFFIXES:
        from edge_unlock_convert.checkpoint import pytorch

        return pytorch.read(path, options, members)
    raise CheckpointError(f"{path} is of no known format", FORMATS_HINT)


def _project_checkpoint(directory: Path) -> Path:
    """The checkpoint of this project's training; others keep theirs under any name."""
    path = directory / PROJECT_CHECKPOINT_NAME
    if not path.is_file():
        suffixes = (*TORCH_SUFFIXES, *OTHER_SUFFIXES)
        files = [one.name for one in sorted(directory.iterdir()) if one.suffix in suffixes]
        named = f"Name the file in it: {', '.join(files[:5])}." if files else FORMATS_HINT
        raise CheckpointError(
            f"the directory {directory} holds neither {PROJECT_CHECKPOINT_NAME} nor a SavedModel",
            named,
        )
    return path


def _magic(path: Path) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # reading a pipe would wait for ever
            raise CheckpointError(f"{path} is no file", FORMATS_HINT)
        with path.open("rb") as file:
            magic = file.read(8)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}", FORMATS_HINT) from error
    if found.st_size > MAX_CHECKPOINT_BYTES:
        raise CheckpointError(
            f"{path} is larger than {MAX_CHECKPOINT_BYTES >> 20} MiB",
            "Save the weights alone, without the state of the optimizer.",
        )
    return magic


def _members(path: Path) -> list[str]:
    """Names in a zip archive that unpacks to no more than is allowed."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(
            f"{path} is damaged: {error}", "It may be cut short: copy it again."
        ) from error
    if sum(member.file_size for member in members) > MAX_CHECKPOINT_BYTES:
        raise CheckpointError(
            f"{path} unpacks to more than {MAX_CHECKPOINT_BYTES >> 20} MiB",
            "This is no checkpoint of an edge model.",
        )
    return [member.filename for member in members]
