"""A ``Network`` to a TFLite model of integers throughout, with a fused operator for each LSTM.

What the integer kernels ask of scales and types is from TFLite's ``lstm_eval.cc`` and
``kernel_util.cc``: weights symmetric, a bias at the scale of its input times that of its
weights, hidden states asymmetric, cell states at a power of two.
"""

from typing import NamedTuple

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.network import GATES, Dense, LstmLayer, Network
from edge_unlock_convert.quantization.flatbuffer import (
    CELL_STATE_INPUT,
    COARSEST_CELL_SCALE,
    FINEST_CELL_SCALE,
)
from edge_unlock_convert.quantization.ranges import INT8_STEPS
from edge_unlock_convert.quantization.rounding import Carry, compensated, scale_of
from edge_unlock_convert.quantization.statistics import Span, Statistics
from edge_unlock_convert.quantization.writer import ABSENT, Quantization, Writer

RUNTIME_VERSION = "2.0.0"
"""The first TensorFlow whose runtime has all operators."""
LSTM_INPUTS = 24
WEIGHTS_INPUT, BIAS_INPUT, HIDDEN_STATE_INPUT = 1, 12, 18
"""Positions among the inputs of the LSTM operator (TFLite's lstm_shared.h): the gates' input
weights and recurrent weights, their biases, the hidden state."""
INT8_LEAST = -128
INT16_LIMIT = 32767
BIAS_LIMIT = 2.0**30
"""Leaves the sum of an int32 accumulator room beside the bias."""


class Signal(NamedTuple):
    """A tensor of steps: its number in the file, its size a step, what its integers stand for."""

    tensor: int
    size: int
    quantization: Quantization


class Fused:
    """One conversion."""

    def __init__(self, network: Network, statistics: Statistics) -> None:
        self._network = network
        self._statistics = statistics
        self._writer = Writer(RUNTIME_VERSION)

    def model(self) -> bytes:
        """The file. Its outputs are the embedding of a step and, with attention, a logit."""
        network, spans = self._network, self._statistics
        source = signal = self._signal("input", network.input_size, spans.inputs)
        for number, layer in enumerate(network.layers):
            signal = self._lstm(number, layer, signal)
        hidden = signal
        for number, dense in enumerate(network.embedding):
            carry = Carry.of(spans.embedding_moments[number])
            signal = self._dense(f"dense{number}", dense, signal, spans.embedding[number], carry)
        outputs = [signal.tensor]
        if network.attention is not None:
            carry = Carry.of(spans.attention_moments)
            logit = self._dense("attention", network.attention, hidden, spans.attention, carry)
            outputs.append(logit.tensor)
        return self._writer.finish([source.tensor], outputs)

    def _signal(self, name: str, size: int, span: Span) -> Signal:
        quantization = activation_quantization(span)
        tensor = self._writer.activation(name, (1, 1, size), np.int8, quantization)
        return Signal(tensor, size, quantization)

    def _lstm(self, number: int, layer: LstmLayer, source: Signal) -> Signal:
        name, writer, spans = f"lstm{number}", self._writer, self._statistics
        output = self._signal(name, layer.units, spans.hidden[number])
        inputs = [ABSENT] * LSTM_INPUTS
        carry = Carry.of(spans.lstm_moments[number])
        gates = zip(
            np.split(layer.input_weights, GATES),
            np.split(layer.recurrent_weights, GATES),
            np.split(layer.bias, GATES),
            strict=True,
        )
        for gate, (taken, recurrent, bias) in enumerate(gates):
            matrices = {"weights": taken, "recurrent": recurrent}
            tensors = self._affine(f"{name}.{gate}", matrices, bias, source, carry)
            inputs[WEIGHTS_INPUT + gate], inputs[WEIGHTS_INPUT + GATES + gate] = tensors[:-1]
            inputs[BIAS_INPUT + gate] = tensors[-1]
        shape = (1, layer.units)
        inputs[0] = source.tensor
        inputs[HIDDEN_STATE_INPUT] = writer.variable(
            f"{name}.hidden", shape, np.int8, output.quantization
        )
        inputs[CELL_STATE_INPUT] = writer.variable(
            f"{name}.cell", shape, np.int16, Quantization(cell_scale(spans.cells[number]))
        )
        # the kernel reads the scale of the fifth; the others are for layer normalization
        intermediates = [
            writer.activation(f"{name}.intermediate{one}", (0,), np.float32, None)
            for one in range(GATES)
        ]
        intermediates.append(writer.activation(f"{name}.scale", (0,), np.int8, output.quantization))
        writer.lstm(inputs, output.tensor, intermediates)
        return output

    def _dense(self, name: str, dense: Dense, source: Signal, span: Span, carry: Carry) -> Signal:
        output = self._signal(name, len(dense.bias), span)
        constants = self._affine(name, {"weights": dense.weights}, dense.bias, source, carry)
        self._writer.dense(
            [source.tensor, *constants], output.tensor, relu=dense.activation == "relu"
        )
        return output

    def _affine(
        self,
        name: str,
        matrices: dict[str, Float32],
        bias: Float32,
        source: Signal,
        carry: Carry,
    ) -> list[int]:
        """Weights that are added up, the first of them on ``source``, and their bias."""
        writer = self._writer
        scales = [float(scale_of(each)) for each in matrices.values()]
        # a bias far above all products needs coarser weights, or it has no room in an int32
        least = float(np.abs(bias).max()) / (source.quantization.scale * BIAS_LIMIT)
        scales[0] = float(np.float32(max(scales[0], least)))
        integers, exact = compensated(list(matrices.values()), bias, scales, carry)
        tensors = [
            writer.constant(f"{name}.{one}", part, Quantization(scale))
            for one, part, scale in zip(matrices, integers, scales, strict=True)
        ]
        product = float(np.float32(source.quantization.scale) * np.float32(scales[0]))
        # what the rounding of a column of enormous weights adds knows no limit
        whole = np.rint(np.clip(exact / product, -BIAS_LIMIT, BIAS_LIMIT)).astype(np.int32)
        return [*tensors, writer.constant(f"{name}.bias", whole, Quantization(product))]


def activation_quantization(span: Span) -> Quantization:
    """The int8 scale of a span, with an integer that is zero exactly."""
    low, high = span
    scale = float(np.float32((high - low) / INT8_STEPS)) or 1.0
    return Quantization(scale, int(np.clip(np.rint(INT8_LEAST - low / scale), -128, 127)))


def cell_scale(reach: float) -> float:
    """The power of two at which an int16 holds cell states of this magnitude."""
    needed = 2.0 ** np.ceil(np.log2(max(reach, FINEST_CELL_SCALE) / INT16_LIMIT))
    return float(np.clip(needed, FINEST_CELL_SCALE, COARSEST_CELL_SCALE))
