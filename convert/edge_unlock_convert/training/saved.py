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
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.front_end import FRONT_END_NAME, FrontEnd
from edge_unlock_convert.training.recipe import Recipe
from edge_unlock_convert.training.student import Weights
from edge_unlock_convert.writing import make_directory, write

RECIPE_NAME, RESUME_NAME = "recipe.toml", "resume.pt"


def save(
    directory: Path, shipped: Weights, front_end: FrontEnd, recipe: Recipe, progress: dict[str, Any]
) -> None:
    """Write all of it. Raises ``ConversionError`` where it cannot be; then the former stays.

    Raises ``CheckpointError`` when a weight is no finite number.
    """
    if not all(map(_is_finite, shipped.values())):
        raise CheckpointError(
            f"the weights for {directory} are no finite numbers: the training diverged",
            "Lower optimization.learning_rate; what was saved before is whole.",
        )
    make_directory(directory)
    json = msgspec.json.format(msgspec.json.encode(front_end), indent=2)
    write(directory / RECIPE_NAME, msgspec.toml.encode(recipe))
    write(directory / PROJECT_CHECKPOINT_NAME, _pickled(shipped))
    write(directory / FRONT_END_NAME, json + b"\n")
    write(directory / RESUME_NAME, _pickled(progress))


def is_begun(directory: Path, recipe: Recipe) -> bool:
    """Whether a training lies there that can go on.

    Raises ``CheckpointError`` where there is a checkpoint of another recipe that cannot: nothing
    may take its place. One of the same recipe was broken off at its first save.
    """
    begun = (directory / RESUME_NAME).exists()
    if not begun and (directory / PROJECT_CHECKPOINT_NAME).exists():
        named = directory / RECIPE_NAME
        if not named.exists() or Recipe.load(named) != recipe:
            raise CheckpointError(
                f"{directory} holds a checkpoint that cannot go on: there is no {RESUME_NAME}",
                "Name another directory with --output; --start goes on from a checkpoint.",
            )
    return begun


def weights(directory: Path, like: Weights) -> Weights:
    """What was shipped there, if it has the names and shapes of ``like``.

    Raises ``CheckpointError`` when it is missing, damaged, not finite, or of another network.
    """
    path = directory / PROJECT_CHECKPOINT_NAME
    found = _loaded(path)
    _check(found, like, path)
    return {name: value.float() for name, value in found.items()}


def progress(directory: Path, like: Weights) -> dict[str, Any]:
    """What ``save`` was given: numbers of a training, whose ``average`` has the shapes of ``like``.

    Raises ``CheckpointError`` as ``weights`` does.
    """
    path = directory / RESUME_NAME
    found = _loaded(path)
    average = found.get("average")
    if not isinstance(average, Mapping):
        raise CheckpointError(f"{path} was not written by a training", "Name another directory.")
    _check(average, like, path)
    return found


def _check(found: Mapping[str, Any], like: Weights, path: Path) -> None:
    differing = [
        name
        for name in sorted({*like, *found})
        if getattr(found.get(name), "shape", None) != getattr(like.get(name), "shape", None)
    ]
    if differing:
        raise CheckpointError(
            f"{path} is of another network than the recipe's: `{differing[0]}` differs",
            "Name a checkpoint whose recipe has the same network and features.",
        )
    if not all(_is_finite(value) for value in found.values()):
        raise CheckpointError(
            f"{path} holds weights that are no finite numbers", "Name another checkpoint."
        )


def _is_finite(value: torch.Tensor) -> bool:
    return value.is_floating_point() and not value.is_meta and bool(value.isfinite().all())


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
