"""The numbers inside of a network on speech: what their integers have to hold, and serve."""

from typing import NamedTuple

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.network import BATCH_SEQUENCES, Float64, Network, run_dense, run_lstm

BITS = 12
"""To which the ends are rounded, outwards. The last bits of a float forward pass depend on the
processor and on NumPy's version; the file shall not."""


class Span(NamedTuple):
    """The least and the greatest of many numbers; zero lies between or is an end."""

    low: float = 0.0
    high: float = 0.0

    def over(self, values: Float64) -> "Span":
        """The span that holds ``values`` too."""
        return Span(min(self.low, float(values.min())), max(self.high, float(values.max())))

    def rounded(self) -> "Span":
        """The span with its ends of ``BITS`` bits, none nearer to zero."""
        return Span(-_round_up(-self.low), _round_up(self.high))


class Statistics(NamedTuple):
    """What the input, every layer's hidden states and the outputs of dense layers were.

    ``cells`` are the greatest magnitudes of a cell state, one a layer. Moments are the mean
    products (n, n) of all that a layer takes: those of an LSTM layer of its input, its hidden
    state a step before, and 1; those of a dense layer of its input and 1.
    """

    inputs: Span
    hidden: tuple[Span, ...]
    cells: tuple[float, ...]
    embedding: tuple[Span, ...]
    attention: Span
    lstm_moments: tuple[Float64, ...]
    embedding_moments: tuple[Float64, ...]
    attention_moments: Float64


def measure(network: Network, sequences: Float32) -> Statistics:
    """What the float network computes for inputs (N, T, F)."""
    inputs, attention = Span(), Span()
    hidden = [Span()] * len(network.layers)
    embedding = [Span()] * len(network.embedding)
    cells = [0.0] * len(network.layers)
    lstm_moments = [_Moments() for _ in network.layers]
    embedding_moments = [_Moments() for _ in network.embedding]
    attention_moments = _Moments()
    for start in range(0, len(sequences), BATCH_SEQUENCES):
        # of double precision: the integers shall not depend on the last bits of single precision
        steps = sequences[start : start + BATCH_SEQUENCES].astype(np.float64)
        inputs = inputs.over(steps)
        for number, layer in enumerate(network.layers):
            taken, (steps, reach) = steps, run_lstm(layer, steps)
            before = np.zeros_like(steps)
            before[:, 1:] = steps[:, :-1]
            lstm_moments[number].add(taken, before)
            hidden[number] = hidden[number].over(steps)
            cells[number] = max(cells[number], reach)
        if network.attention is not None:
            attention_moments.add(steps)
            attention = attention.over(run_dense(network.attention, steps))
        for number, dense in enumerate(network.embedding):
            embedding_moments[number].add(steps)
            steps = run_dense(dense, steps)
            embedding[number] = embedding[number].over(steps)
    return Statistics(
        inputs.rounded(),
        tuple(one.rounded() for one in hidden),
        tuple(map(_round_up, cells)),
        tuple(one.rounded() for one in embedding),
        attention.rounded(),
        tuple(one.mean() for one in lstm_moments),
        tuple(one.mean() for one in embedding_moments),
        attention_moments.mean(),
    )


class _Moments:
    """Mean products of what comes side by side, and 1."""

    def __init__(self) -> None:
        self._sum: Float64 = np.zeros((0, 0))
        self._count = 0

    def add(self, *signals: Float64) -> None:
        """Take signals (N, T, F) that a layer takes together."""
        ones = np.ones((*signals[0].shape[:2], 1))
        rows = np.concatenate([*signals, ones], axis=2).reshape(-1, sum(map(_width, signals)) + 1)
        products = rows.T @ rows
        self._sum = products if self._count == 0 else self._sum + products
        self._count += len(rows)

    def mean(self) -> Float64:
        """The mean, of nothing an empty matrix."""
        return self._sum / max(1, self._count)


def _width(signal: Float64) -> int:
    return signal.shape[2]


def _round_up(magnitude: float) -> float:
    mantissa, exponent = np.frexp(magnitude)
    return float(np.ldexp(np.ceil(np.ldexp(mantissa, BITS)), exponent - BITS))
