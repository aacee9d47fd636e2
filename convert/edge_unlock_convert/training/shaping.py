"""Which directions of the embedding count how much, set when all is learned.

Each shape is a map (D, D): a product with the embedding layer, which costs the device nothing.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEAST_VARIANCE = 1e-4
"""Of the widest direction: narrower ones are rounding."""
EVEN = 0.5
"""So much of the variance within voices counts as spread evenly over all directions: what some
hundred voices show of the narrow ones is chance."""


def spread(targets: Tensor, power: float) -> Tensor:
    """Lengthens the directions in which the ``targets`` (n, D) vary little.

    Each principal one is divided by its variance to the ``power``; the widest is left as it is.
    """
    return _divided(torch.cov(targets.T.double()), power)


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
