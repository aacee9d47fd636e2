"""Evens out how much embeddings vary in each direction.

A matrix (D, D) divides each principal direction by its deviation to a ``power`` in [0, 1]: 0
changes nothing, 1 makes all directions equal.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEAST_VARIANCE = 1e-3
"""Of the mean variance: what is taken for the variance of a direction that has less."""

Floats = NDArray[np.float32]


def of_all(embeddings: Floats, power: float) -> Floats:
    """The matrix for the deviation over all embeddings (n, D)."""
    return _matrix(embeddings - embeddings.mean(axis=0), power)


def within_voices(voices: Sequence[Floats], power: float) -> Floats:
    """The matrix for the deviation within a voice; ``voices`` are the embeddings (n, D) of each.

    Directions in which one voice varies tell less of who speaks (within-class covariance
    normalization, Hatch et al., 2006). Voices of one embedding say nothing of it.
    """
    residuals = [part - part.mean(axis=0) for part in voices if len(part) > 1]
    if not residuals:
        return np.eye(voices[0].shape[1], dtype=np.float32)
    return _matrix(np.concatenate(residuals), power)


def _matrix(deviations: Floats, power: float) -> Floats:
    wide = deviations.astype(np.float64)
    variances, directions = np.linalg.eigh(wide.T @ wide / len(wide))
    scale = np.maximum(variances / variances.mean(), LEAST_VARIANCE) ** (-power / 2)
    matrix: Floats = ((directions * scale) @ directions.T).astype(np.float32)
    return matrix
