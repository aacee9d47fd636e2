"""A ``Network`` to a TFLite model of single operators, with its states as inputs and outputs.

Several times as fast as the fused LSTM (``convert/README.md``). Behind the features come the hidden
state and the cell state of every layer, as inputs; behind the embedding and the logit come, as
outputs and in the same order, those that follow. Elementwise operators are float. Matrices are
float too, or int8 with a scale for each row: TFLite's kernel of before 2.17 knows one scale for a
whole matrix, and takes more for one without a word; so its scale is 1, and the rows are multiplied
after it.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.network import GATES, Dense, Float64, LstmLayer, Network
from edge_unlock_convert.quantization.rounding import Carry, compensated, scale_of
from edge_unlock_convert.quantization.statistics import Statistics
from edge_unlock_convert.quantization.writer import ABSENT, Elementwise, Quantization, Writer

RUNTIME_VERSION = "2.3.0"
"""The first TensorFlow whose runtime has all operators."""
LAST_AXIS = 2
FLOAT_LIMIT = float(np.finfo(np.float32).max)


class Unfused:
    """One conversion; without statistics the weights stay float."""

    def __init__(self, network: Network, statistics: Statistics | None = None) -> None:
        self._network = network
        self._statistics = statistics
        self._writer = Writer(RUNTIME_VERSION)
        self._axis = self._writer.constant("axis", np.array(LAST_AXIS, np.int32))

    def model(self) -> bytes:
        """The file."""
        network, moments = self._network, self._statistics
        source = signal = self._floats("input", network.input_size)
        states: list[int] = []
        following: list[int] = []
        for number, layer in enumerate(network.layers):
            carry = moments and Carry.of(moments.lstm_moments[number])
            hidden, cell = (
                self._floats(f"lstm{number}.{state}", layer.units) for state in ("hidden", "cell")
            )
            states += [hidden, cell]
            signal, cell = self._lstm(f"lstm{number}", layer, (signal, hidden, cell), carry)
            following += [signal, cell]
        hidden = signal
        for number, dense in enumerate(network.embedding):
            carry = moments and Carry.of(moments.embedding_moments[number])
            signal = self._dense(f"dense{number}", dense, signal, carry)
        outputs = [signal]
        if network.attention is not None:
            carry = moments and Carry.of(moments.attention_moments)
            outputs.append(self._dense("attention", network.attention, hidden, carry))
        return self._writer.finish([source, *states], [*outputs, *following])

    def _lstm(
        self, name: str, layer: LstmLayer, taken: tuple[int, int, int], carry: Carry | None
    ) -> tuple[int, int]:
        """The hidden state and the cell state that follow from input, hidden state and cell."""
        source, hidden, cell = taken
        matrices = [(source, layer.input_weights), (hidden, layer.recurrent_weights)]
        sums = self._affine(name, matrices, layer.bias, carry)
        gates = [self._floats(f"{name}.gate{gate}", layer.units) for gate in range(GATES)]
        self._writer.split(self._axis, sums, gates)

        def apply(operator: Elementwise, part: str, *inputs: int) -> int:
            return self._elementwise(operator, f"{name}.{part}", layer.units, *inputs)

        write = apply("LOGISTIC", "write", gates[0])
        forget = apply("LOGISTIC", "forget", gates[1])
        candidate = apply("TANH", "candidate", gates[2])
        show = apply("LOGISTIC", "show", gates[3])
        kept = apply("MUL", "kept", forget, cell)
        written = apply("MUL", "written", write, candidate)
        next_cell = apply("ADD", "next_cell", kept, written)
        shown = apply("TANH", "shown", next_cell)
        return apply("MUL", "next_hidden", show, shown), next_cell

    def _dense(self, name: str, dense: Dense, source: int, carry: Carry | None) -> int:
        sums = self._affine(name, [(source, dense.weights)], dense.bias, carry)
        if dense.activation == "linear":
            return sums
        return self._elementwise("RELU", f"{name}.relu", len(dense.bias), sums)

    def _affine(
        self,
        name: str,
        matrices: list[tuple[int, Float32]],
        bias: Float32,
        carry: Carry | None,
    ) -> int:
        """The sum of the products of inputs and matrices, and of the bias."""
        factors, offset = _rounded(matrices, bias, carry)
        total = self._constant(f"{name}.bias", offset)
        for number, factor in enumerate(factors):
            product = self._product(f"{name}.{number}", factor)
            total = self._elementwise("ADD", f"{name}.sum{number}", len(bias), total, product)
        return total

    def _product(self, name: str, factor: "_Factor") -> int:
        source, weights, scale = factor
        unit = None if scale is None else Quantization(1.0)
        stored = self._writer.constant(f"{name}.weights", weights, unit)
        product = self._floats(f"{name}.product", len(weights))
        self._writer.dense([source, stored, ABSENT], product, hybrid=unit is not None)
        if scale is None:
            return product
        rows = self._constant(f"{name}.rows", scale)
        return self._elementwise("MUL", f"{name}.scaled", len(weights), product, rows)

    def _elementwise(self, operator: Elementwise, name: str, size: int, *inputs: int) -> int:
        output = self._floats(name, size)
        self._writer.elementwise(operator, inputs, output)
        return output

    def _floats(self, name: str, size: int) -> int:
        return self._writer.activation(name, (1, 1, size), np.float32, None)

    def _constant(self, name: str, values: Float64) -> int:
        # what the rounding of a column of enormous weights adds knows no limit
        finite = np.clip(values, -FLOAT_LIMIT, FLOAT_LIMIT).astype(np.float32)
        return self._writer.constant(name, finite.reshape(1, 1, -1))


class _Factor(NamedTuple):
    """An input and the matrix (o, i) it is multiplied by.

    Integers of a matrix are in units of ``scale`` (o, 1); a float one has none.
    """

    source: int
    weights: NDArray[Any]
    scale: Float64 | None


def _rounded(
    matrices: list[tuple[int, Float32]], bias: Float32, carry: Carry | None
) -> tuple[list[_Factor], Float64]:
    """The factors, of integers where errors are carried over, and the bias (o,) that fits them."""
    if carry is None:
        return [_Factor(*one, None) for one in matrices], bias.astype(np.float64)
    sources, weights = zip(*matrices, strict=True)
    scales = [scale_of(matrix, axis=1) for matrix in weights]
    integers, offset = compensated(weights, bias, scales, carry)
    return [*map(_Factor, sources, integers, scales)], offset
