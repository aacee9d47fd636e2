"""The directory of a training: what the converter reads of it, and what it goes on from.

``student.pt`` and ``front_end.json`` are the checkpoint, ``recipe.toml`` says how it was made, and
``resume.pt`` how far it is. Each is there as a whole or not at all, the last one after the others.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch

from edge_unlock_convert.checkpoint import PROJECT_CHECKPOINT_NAME, torch_file
from edge_unlock_convert.commands.writing import make_directory, write
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.front_end import FRONT_END_NAME, FrontEnd
from edge_unlock_convert.training.recipe import Recipe
from edge_unlock_convert.training.student import Weights

RECIPE_NAME, RESUME_NAME = "recipe.toml", "resume.pt"


def save(
    directory: Path, shipped: Weights, front_end: FrontEnd, recipe: Recipe, progress: dict[str, Any]
) -> None:
    """Write all of it. Raises ``ConversionError`` where it cannot be; then the former stays."""
    make_directory(directory)
    json = msgspec.json.format(msgspec.json.encode(front_end), indent=2)
    write(directory / PROJECT_CHECKPOINT_NAME, _pickled(shipped))
    write(directory / FRONT_END_NAME, json + b"\n")
    write(directory / RECIPE_NAME, msgspec.toml.encode(recipe))
    write(directory / RESUME_NAME, _pickled(progress))


def is_begun(directory: Path) -> bool:
    """Whether a training lies there that can go on."""
    return (directory / RESUME_NAME).exists()


def weights(directory: Path, like: Weights) -> Weights:
    """What was shipped there, if it has the names and shapes of ``like``.

    Raises ``CheckpointError`` when it is missing, damaged, not finite, or of another network.
    """
    path = directory / PROJECT_CHECKPOINT_NAME
    found = _loaded(path)
    differing = [
        name
        for name in sorted({*like, *found})
        if getattr(found.get(name), "shape", None) != getattr(like.get(name), "shape", None)
    ]
    if differing:
        raise CheckpointError(
            f"{path} is of another network than the recipe's: `{differing[0]}` differs",
            "Start from a checkpoint whose recipe has the same network and features.",
        )
    if not all(value.is_floating_point() and value.isfinite().all() for value in found.values()):
        raise CheckpointError(
            f"{path} holds weights that are no finite numbers", "Start from another checkpoint."
        )
    return {name: value.float() for name, value in found.items()}


def progress(directory: Path) -> dict[str, Any]:
    """What ``save`` was given. Raises ``CheckpointError`` when it is missing or damaged."""
    return _loaded(directory / RESUME_NAME)


def _loaded(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"there is no {path}", "Name the directory of a training.")
    found, _ = torch_file.load(path)
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path} was not written by a training", "Name another directory.")
    return dict(found)


def _pickled(values: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(values, buffer)
    return buffer.getvalue()
