"""What a training starts from: the checkpoints of others."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from edge_unlock.encoder.features import Normalization
from edge_unlock.errors import ConfigError
from edge_unlock_convert.front_end import FRONT_END_NAME, read_front_end
from edge_unlock_convert.training import saved, shaping
from edge_unlock_convert.training.recipe import Recipe
from edge_unlock_convert.training.resemblyzer import Resemblyzer
from edge_unlock_convert.training.student import Weights


def source(recipe: Recipe, device: str) -> Resemblyzer | None:
    """The network of others that the training starts from, if any."""
    if recipe.network.start == "resemblyzer":
        return Resemblyzer.load(device)
    if recipe.objective.hint:
        raise ConfigError(
            "the recipe has hints and nothing that gives them", 'Set network.start = "resemblyzer".'
        )
    return None


def normalization(recipe: Recipe, *directories: Path) -> Normalization:
    """That of all of these checkpoints, but with the recipe's prior.

    Raises ``CheckpointError`` when a front end cannot be read, ``ConfigError`` when they hear
    differently, or otherwise than the recipe says.
    """
    found = [read_front_end(one / FRONT_END_NAME) for one in directories]
    heard = [
        (
            (one.features, one.encoder.frames_stacked, one.encoder.pooling),
            msgspec.structs.replace(one.normalization, prior_frames=recipe.prior_frames),
        )
        for one in found
    ]
    if any(other != heard[0] for other in heard):
        raise ConfigError(
            "the checkpoints to start from have different front ends",
            "Name checkpoints of which one went on from the other.",
        )
    inputs, measured = heard[0]
    if inputs != (recipe.features, recipe.network.frames_stacked, recipe.network.pooling):
        raise ConfigError(
            f"{directories[0]} has another front end than the recipe",
            "Say its features, frames_stacked and pooling in the recipe, or name another one.",
        )
    return measured


def mean(
    *directories: Path, like: Weights, embed: Callable[[Weights], NDArray[np.float32]] | None
) -> Weights:
    """The mean of the weights of checkpoints (Wortsman et al., "Model soups", 2022).

    The embeddings of each are turned to those of the first before: trainings with other voices
    have their directions elsewhere. ``embed`` gives what weights make of some speech (n, D); where
    there is none (``None``) nothing is turned. Raises ``CheckpointError`` where weights cannot be
    read or have not the names and shapes of ``like``.
    """
    states = [saved.weights(one, like) for one in directories]
    if embed is not None and len(states) > 1:
        first, *others = (embed(state) for state in states)
        for state, heard in zip(states[1:], others, strict=True):
            shaping.turn(state, shaping.rotation(heard, first))
    return {name: torch.stack([one[name] for one in states]).mean(dim=0) for name in like}
