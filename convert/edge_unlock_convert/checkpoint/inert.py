"""Reads PyTorch's zip archives (``torch.save`` and TorchScript) without any class of theirs.

A pickle names classes and functions to call. Here every name stands for an inert object, but for
the handful by which tensors are described, and those are functions of this module: whatever a
file asks for, nothing but tensors can come of it.
"""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

MAX_DEPTH = 32
"""Of modules in modules."""
STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}


class Inert:
    """What a class or function of a checkpoint becomes: an object that holds what it was given."""

    def __init__(self, *arguments: Any, **_: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)

    def __setitem__(self, *_: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        """Nothing: lists of its own class are no weights."""

    def extend(self, _: Any) -> None:
        """Likewise."""


def is_script(members: list[str]) -> bool:
    """Whether these are the members of a TorchScript archive."""
    return any("/code/" in member for member in members)


def read(path: Path) -> Any:
    """The contents of an archive: containers, tensors, and ``Inert`` for everything else.

    Raises what reading a malformed archive raises; the caller takes any error for damage.
    """
    with zipfile.ZipFile(path) as archive:
        pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        root = pickled.removesuffix("data.pkl")
        with archive.open(pickled) as file:
            return _Unpickler(file, archive, root).load()


def tensors(found: Any, prefix: str = "", depth: int = 0) -> dict[str, torch.Tensor]:
    """The tensors of a module and of those in it, by the names that a state dict gives them.

    A pickled module keeps them in three dictionaries, a script in its attributes.
    """
    made: dict[str, torch.Tensor] = {}
    members = dict(vars(found)) if depth < MAX_DEPTH else {}
    for held in ("_parameters", "_buffers", "_modules"):
        members |= dict(members.pop(held, None) or {})
    for name, value in members.items():
        if isinstance(value, torch.Tensor):
            made[f"{prefix}{name}"] = value
        elif isinstance(value, Inert):
            made |= tensors(value, f"{prefix}{name}.", depth + 1)
    return made


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(file)
        self._archive, self._root = archive, root
        self._storages: dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
            return _tensor if name == "_rebuild_tensor_v2" else _parameter
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        return type(name, (Inert,), {"__module__": module})

    def persistent_load(self, pid: Any) -> torch.Tensor:
        _, dtype, key, _, count = pid
        if key not in self._storages:
            data = bytearray(self._archive.read(f"{self._root}data/{key}"))
            self._storages[key] = (
                torch.frombuffer(data, dtype=dtype, count=count)
                if data
                else torch.empty(0, dtype=dtype)
            )
        return self._storages[key]


def _tensor(
    storage: torch.Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> torch.Tensor:
    # refuses what lies outside of the storage
    return torch.as_strided(storage, tuple(size), tuple(stride), offset)


def _parameter(data: torch.Tensor, *_: Any) -> torch.Tensor:
    return data
