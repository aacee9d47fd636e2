"""Weights to integers, so that rounding costs the output least.

That of OPTQ (Frantar et al. 2023, https://arxiv.org/abs/2210.17323), which rounds one column after
the other and has those to come make up for the error on the inputs of representative speech. The
bias comes last: it is exact, and takes up what is left of the mean error.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_unlock_convert.network import Float64

INT8_LIMIT = 127
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


def compensated(
    weights: Float64, bias: Float64, scales: Float64, carry: Carry
) -> tuple[NDArray[np.int8], Float64]:
    """Integers (o, i) of weights (o, i) in units of ``scales`` (i,), and the bias (o,) to them."""
    columns = np.column_stack([weights, bias])[:, carry.order]
    steps = scales[carry.order[:-1]]
    integers = np.empty((len(columns), len(steps)), np.int8)
    for start in range(0, len(steps), BLOCK_COLUMNS):
        stop = min(start + BLOCK_COLUMNS, len(steps))
        errors = np.empty((len(columns), stop - start))
        for column in range(start, stop):
            whole = np.rint(columns[:, column] / steps[column]).clip(-INT8_LIMIT, INT8_LIMIT)
            integers[:, column] = whole
            error = columns[:, column] - whole * steps[column]
            error /= carry.factor[column, column]
            columns[:, column + 1 : stop] -= np.outer(
                error, carry.factor[column, column + 1 : stop]
            )
            errors[:, column - start] = error
        columns[:, stop:] -= errors @ carry.factor[start:stop, stop:]
    found = np.empty_like(integers)
    found[:, carry.order[:-1]] = integers
    return found, columns[:, -1]
