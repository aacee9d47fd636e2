"""What a training starts from: the checkpoints of others."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_unlock.encoder.features import Normalization
from edge_unlock.errors import ConfigError
from edge_unlock_convert.training import shaping
from edge_unlock_convert.training.recipe import Recipe
from edge_unlock_convert.training.resemblyzer import Resemblyzer

State = dict[str, Tensor]


def source(recipe: Recipe, device: str) -> Resemblyzer | None:
    """The network of others that the training starts from, if any."""
    if recipe.network.start == "resemblyzer":
        return Resemblyzer.load(device)
    if recipe.objective.hint:
        raise ConfigError(
            "the recipe has hints and nothing that gives them", 'Set network.start = "resemblyzer".'
        )
    return None


def normalization(*directories: Path) -> Normalization:
    """That of all of these checkpoints. Raises ``ConfigError`` when they hear differently."""
    front_ends = [msgspec.json.decode((one / "front_end.json").read_bytes()) for one in directories]
    if any(other != front_ends[0] for other in front_ends):
        raise ConfigError(
            "the checkpoints to start from have different front ends",
            "Name checkpoints of which one went on from the other.",
        )
    return msgspec.convert(front_ends[0]["normalization"], Normalization)


def mean(*directories: Path, embed: Callable[[State], NDArray[np.float32]] | None) -> State:
    """The mean of the weights of checkpoints (Wortsman et al., "Model soups", 2022).

    The embeddings of each are turned to those of the first before: trainings with other voices
    have their directions elsewhere. ``embed`` gives what weights make of some speech (n, D); where
    there is none (``None``) nothing is turned.
    """
    states = [torch.load(one / "student.pt", weights_only=True) for one in directories]
    if embed is not None and len(states) > 1:
        first, *others = (embed(state) for state in states)
        for state, heard in zip(states[1:], others, strict=True):
            shaping.turn(state, shaping.rotation(heard, first))
    return {name: torch.stack([one[name] for one in states]).mean(dim=0) for name in states[0]}
