"""Weights to integers, so that rounding costs the output least.

That of OPTQ (Frantar et al. 2023, https://arxiv.org/abs/2210.17323), which rounds one column after
the other and has those to come make up for the error on the inputs of representative speech. The
bias comes last: it is exact, and takes up what is left of the mean error.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.network import Float64

INT8_LIMIT = 127
SCALE_OF_ZEROS = 2.0**-15
"""Times ``INT8_LIMIT``."""
LEAST_WEIGHT = 2.0**-100
"""What is less is taken for zero: its scale could be no number of full precision."""
DAMPING = 0.01
"""Of the mean square of an input, is added to each: what was not heard may still come."""
BLOCK_COLUMNS = 128
"""So many errors are passed on to the columns beyond in one product."""


class Carry(NamedTuple):
    """How the error of one column is carried over to those that come later."""

    order: NDArray[np.intp]
    """Columns by their mean square, the greatest first, the constant last."""
    factor: Float64
    """Upper triangular (n, n): the Cholesky factor of the inverse second moments, in that order."""

    @classmethod
    def of(cls, moments: Float64) -> "Carry":
        """That of inputs with the second moments (n, n); the last of them is the constant 1."""
        powers = np.diag(moments)
        order = np.append(np.argsort(-powers[:-1], kind="stable"), len(powers) - 1)
        damped = moments[np.ix_(order, order)] + DAMPING * powers.mean() * np.eye(len(powers))
        return cls(order, np.linalg.cholesky(np.linalg.inv(damped)).T)


def scale_of(weights: Float32, axis: int | None = None) -> Float64:
    """The symmetric int8 scale of a matrix (o, i): (), or (o, 1) of its rows with ``axis`` 1.

    That of zeros is small, for the sake of their bias. Rounded to float32, as it is stored.
    """
    top = np.abs(weights).max(axis=axis, keepdims=axis is not None)
    scale = np.where(top > LEAST_WEIGHT, top, SCALE_OF_ZEROS) / INT8_LIMIT
    return np.asarray(scale.astype(np.float32), np.float64)


def compensated(
    matrices: Sequence[Float32],
    bias: Float32,
    scales: Sequence[Float64 | float],
    carry: Carry,
) -> tuple[list[NDArray[np.int8]], Float64]:
    """Integers of matrices (o, i) side by side, and the bias (o,) that fits them.

    Each matrix is in units of its own scale, a number or one for each row (o, 1).
    """
    columns = np.column_stack([*matrices, bias]).astype(np.float64)[:, carry.order]
    wide = [
        np.broadcast_to(scale, each.shape) for scale, each in zip(scales, matrices, strict=True)
    ]
    steps = np.hstack(wide)[:, carry.order[:-1]]
    integers = np.empty(steps.shape, np.int8)
    for start in range(0, steps.shape[1], BLOCK_COLUMNS):
        stop = min(start + BLOCK_COLUMNS, steps.shape[1])
        errors = np.empty((len(columns), stop - start))
        for column in range(start, stop):
            step = steps[:, column]
            whole = np.rint(columns[:, column] / step).clip(-INT8_LIMIT, INT8_LIMIT)
            integers[:, column] = whole
            error = columns[:, column] - whole * step
            error /= carry.factor[column, column]
            columns[:, column + 1 : stop] -= np.outer(
                error, carry.factor[column, column + 1 : stop]
            )
            errors[:, column - start] = error
        columns[:, stop:] -= errors @ carry.factor[start:stop, stop:]
    found = np.empty_like(integers)
    found[:, carry.order[:-1]] = integers
    ends = np.cumsum([each.shape[1] for each in matrices])[:-1]
    return [np.ascontiguousarray(part) for part in np.split(found, ends, axis=1)], columns[:, -1]
