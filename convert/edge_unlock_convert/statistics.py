"""How far the numbers inside of a network go on speech: what their integers have to hold."""

from typing import NamedTuple

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.network import BATCH_SEQUENCES, Network, run_dense, run_lstm

BITS = 12
"""To which the ends are rounded, outwards. The last bits of a float forward pass depend on the
processor and on NumPy's version; the file shall not."""


class Span(NamedTuple):
    """The least and the greatest of many numbers; zero lies between or is an end."""

    low: float = 0.0
    high: float = 0.0

    def over(self, values: Float32) -> "Span":
        """The span that holds ``values`` too."""
        return Span(min(self.low, float(values.min())), max(self.high, float(values.max())))

    def rounded(self) -> "Span":
        """The span with its ends of ``BITS`` bits, none nearer to zero."""
        return Span(-_round_up(-self.low), _round_up(self.high))


class Statistics(NamedTuple):
    """The spans of the input, of every layer's hidden states and of the outputs of dense layers.

    ``cells`` are the greatest magnitudes of a cell state, one a layer.
    """

    inputs: Span
    hidden: tuple[Span, ...]
    cells: tuple[float, ...]
    embedding: tuple[Span, ...]
    attention: Span


def measure(network: Network, sequences: Float32) -> Statistics:
    """What the float network computes for inputs (N, T, F)."""
    inputs, attention = Span(), Span()
    hidden = [Span()] * len(network.layers)
    embedding = [Span()] * len(network.embedding)
    cells = [0.0] * len(network.layers)
    for start in range(0, len(sequences), BATCH_SEQUENCES):
        steps = sequences[start : start + BATCH_SEQUENCES]
        inputs = inputs.over(steps)
        for number, layer in enumerate(network.layers):
            steps, reach = run_lstm(layer, steps)
            hidden[number] = hidden[number].over(steps)
            cells[number] = max(cells[number], reach)
        if network.attention is not None:
            attention = attention.over(run_dense(network.attention, steps))
        for number, dense in enumerate(network.embedding):
            steps = run_dense(dense, steps)
            embedding[number] = embedding[number].over(steps)
    return Statistics(
        inputs.rounded(),
        tuple(one.rounded() for one in hidden),
        tuple(map(_round_up, cells)),
        tuple(one.rounded() for one in embedding),
        attention.rounded(),
    )


def _round_up(magnitude: float) -> float:
    mantissa, exponent = np.frexp(magnitude)
    return float(np.ldexp(np.ceil(np.ldexp(mantissa, BITS)), exponent - BITS))
