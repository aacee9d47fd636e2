"""What is changed in a student when all is learned: it costs the device nothing.

A student knows the voices that it was trained on too well. It leans on what it remembers of an
utterance, on few of its steps and on directions that tell those voices apart; others are heard
better with less of each.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_unlock.encoder.similarity import unit
from edge_unlock_convert.training.recipe import Shape
from edge_unlock_convert.training.student import Weights

LEAST_VARIANCE = 1e-4
"""Of the widest direction: narrower ones are rounding."""
EVEN = 0.5
"""So much of the variance within voices counts as spread evenly over all directions: what some
hundred voices show of the narrow ones is chance."""


def scale(state: Weights, prefix: str, factor: float) -> None:
    """Multiply the weights whose names begin so."""
    for name, value in state.items():
        if name.startswith(prefix):
            state[name] = factor * value


def lifter(state: Weights, coefficients: int, factor: float) -> None:
    """Multiply what the first layer hears of the last quarter of the cepstra of each frame."""
    weights = state["lstm.weight_ih_l0"]
    heard = torch.ones(coefficients)
    heard[coefficients - coefficients // 4 :] = factor
    state["lstm.weight_ih_l0"] = weights * heard.repeat(weights.shape[1] // coefficients)


def turn(state: Weights, shape: Tensor) -> None:
    """Map the embeddings that the weights give by a shape (D, D)."""
    for name in ("embedding.weight", "embedding.bias"):
        state[name] = shape @ state[name]


def rotation(embeddings: NDArray[np.float32], targets: NDArray[np.float32]) -> Tensor:
    """The rotation or reflection that takes ``embeddings`` (n, D) nearest to ``targets`` (n, D).

    Orthogonal Procrustes problem (Schönemann, 1966). Cosines stay as they are.
    """
    product = torch.from_numpy(targets.T.astype(np.float64) @ embeddings.astype(np.float64))
    left, _, right = torch.linalg.svd(product)
    turned: Tensor = left @ right
    return turned.float()


def damp(state: Weights, shape: Shape, coefficients: int, layers: int) -> None:
    """Turn down what a ``shape`` says: fine cepstra, the last layer's memory, the attention."""
    lifter(state, coefficients, shape.fine_cepstra)
    scale(state, f"lstm.weight_hh_l{layers - 1}", shape.recurrence)
    scale(state, "attention", shape.attention)


def spread(targets: NDArray[np.float32], power: float) -> Tensor:
    """Lengthens the directions in which the teacher's embeddings (n, D) vary little.

    Each principal one is divided by its variance to the ``power``; the widest is left as it is.
    """
    centered = unit(targets - targets.mean(axis=0)).astype(np.float64)
    return _divided(torch.cov(torch.from_numpy(centered.T)), power)


def within(embeddings: NDArray[np.float32], voices: NDArray[np.str_], power: float) -> Tensor:
    """Shortens the directions in which ``embeddings`` (n, D) of one voice differ.

    Within-class covariance normalization (Hatch et al., 2006), which is the ``power`` 0.5, in part
    and of a covariance made ``EVEN``. ``voices`` (n,) says whose they are.
    """
    size = embeddings.shape[1]
    total, freedom = np.zeros((size, size)), 0
    for voice in np.unique(voices):
        own = embeddings[voices == voice].astype(np.float64)
        own -= own.mean(axis=0)
        total += own.T @ own
        freedom += len(own) - 1
    if not freedom:
        return torch.eye(size)
    covariance = torch.from_numpy(total / freedom)
    even = covariance.trace() / size * torch.eye(size, dtype=torch.float64)
    return _divided((1 - EVEN) * covariance + EVEN * even, power)


def _divided(covariance: Tensor, power: float) -> Tensor:
    """The map that divides the principal directions by their share of the greatest variance."""
    variance, directions = torch.linalg.eigh(covariance)
    share = (variance / variance[-1]).clamp(min=LEAST_VARIANCE)
    divided: Tensor = (directions * share**-power) @ directions.T
    return divided.float()
