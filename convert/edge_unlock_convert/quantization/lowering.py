"""A ``Network`` to TFLite: the one path for every checkpoint.

What the integer kernels ask of scales and types is from TFLite's ``lstm_eval.cc`` and
``kernel_util.cc``: weights symmetric, a bias at the scale of its input times that of its
weights, hidden states asymmetric, cell states at a power of two.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.network import GATES, Dense, LstmLayer, Network
from edge_unlock_convert.quantization.flatbuffer import (
    CELL_STATE_INPUT,
    COARSEST_CELL_SCALE,
    FINEST_CELL_SCALE,
)
from edge_unlock_convert.quantization.rounding import INT8_LIMIT, Carry, compensated
from edge_unlock_convert.quantization.statistics import Span, Statistics, measure
from edge_unlock_convert.quantization.writer import ABSENT, Quantization, Writer

Scheme = Literal["int8", "dynamic", "float32"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
RUNTIME_VERSIONS = {"int8": "2.0.0", "dynamic": "2.3.0", "float32": "2.0.0"}
"""The first TensorFlow whose runtime has all operators."""
LSTM_INPUTS = 24
WEIGHTS_INPUT, BIAS_INPUT, HIDDEN_STATE_INPUT = 1, 12, 18
"""Positions among the inputs of the LSTM operator (TFLite's lstm_shared.h): the gates' input
weights and recurrent weights, their biases, the hidden state."""
INT8_LEAST, INT8_STEPS = -128, 255
INT16_LIMIT = 32767
BIAS_LIMIT = 2.0**30
"""Leaves the sum of an int32 accumulator room beside the bias."""


class Signal(NamedTuple):
    """A tensor of steps: its number in the file, its size a step, what its integers stand for."""

    tensor: int
    size: int
    quantization: Quantization | None


def lower(network: Network, representative: Float32, scheme: Scheme) -> bytes:
    """Convert to a TFLite flatbuffer with a batch of 1 and one step, which may be resized.

    ``representative`` float32 (N, T, F) is network input that shows the range of every activation.
    The outputs are the embedding of every step and, with attention, one logit a step.
    """
    statistics = measure(network, representative) if scheme == "int8" else None
    return _Lowering(network, scheme, statistics).model()


class _Lowering:
    """One conversion; without statistics activations stay float."""

    def __init__(self, network: Network, scheme: Scheme, statistics: Statistics | None) -> None:
        self._network = network
        self._statistics = statistics
        self._hybrid = scheme == "dynamic"
        self._quantized = scheme != "float32"
        self._writer = Writer(RUNTIME_VERSIONS[scheme])

    def model(self) -> bytes:
        network, spans = self._network, self._statistics
        source = signal = self._signal("input", network.input_size, spans and spans.inputs)
        for number, layer in enumerate(network.layers):
            signal = self._lstm(number, layer, signal)
        hidden = signal
        for number, dense in enumerate(network.embedding):
            span = spans and spans.embedding[number]
            carry = spans and Carry.of(spans.embedding_moments[number])
            signal = self._dense(f"dense{number}", dense, signal, span, carry)
        outputs = [signal.tensor]
        if network.attention is not None:
            span = spans and spans.attention
            carry = spans and Carry.of(spans.attention_moments)
            outputs.append(self._dense("attention", network.attention, hidden, span, carry).tensor)
        return self._writer.finish([source.tensor], outputs)

    def _signal(self, name: str, size: int, span: Span | None) -> Signal:
        quantization = None if span is None else activation_quantization(span)
        kind = np.float32 if span is None else np.int8
        tensor = self._writer.activation(name, (1, 1, size), kind, quantization)
        return Signal(tensor, size, quantization)

    def _lstm(self, number: int, layer: LstmLayer, source: Signal) -> Signal:
        name, writer, spans = f"lstm{number}", self._writer, self._statistics
        output = self._signal(name, layer.units, spans and spans.hidden[number])
        cell = None if spans is None else Quantization(cell_scale(spans.cells[number]))
        inputs = [ABSENT] * LSTM_INPUTS
        carry = spans and Carry.of(spans.lstm_moments[number])
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
        integer = spans is not None
        inputs[0] = source.tensor
        inputs[HIDDEN_STATE_INPUT] = writer.variable(
            f"{name}.hidden", shape, np.int8 if integer else np.float32, output.quantization
        )
        inputs[CELL_STATE_INPUT] = writer.variable(
            f"{name}.cell", shape, np.int16 if integer else np.float32, cell
        )
        intermediates: list[int] = []
        if integer:
            # the kernel reads the scale of the fifth; the others are for layer normalization
            intermediates = [
                writer.activation(f"{name}.intermediate{one}", (0,), np.float32, None)
                for one in range(GATES)
            ]
            intermediates.append(
                writer.activation(f"{name}.scale", (0,), np.int8, output.quantization)
            )
        writer.lstm(inputs, output.tensor, intermediates, hybrid=self._hybrid)
        return output

    def _dense(
        self, name: str, dense: Dense, source: Signal, span: Span | None, carry: Carry | None
    ) -> Signal:
        output = self._signal(name, len(dense.bias), span)
        constants = self._affine(name, {"weights": dense.weights}, dense.bias, source, carry)
        self._writer.dense(
            [source.tensor, *constants],
            output.tensor,
            relu=dense.activation == "relu",
            hybrid=self._hybrid,
        )
        return output

    def _affine(
        self,
        name: str,
        matrices: dict[str, Float32],
        bias: Float32,
        source: Signal,
        carry: Carry | None,
    ) -> list[int]:
        """Weights that are added up, the first of them on ``source``, and their bias."""
        writer = self._writer
        if source.quantization is None or carry is None:
            tensors = [self._weights(f"{name}.{one}", each) for one, each in matrices.items()]
            return [*tensors, writer.constant(f"{name}.bias", np.asarray(bias, np.float32))]
        scales = [weight_scale(each) for each in matrices.values()]
        # a bias far above all products needs coarser weights, or it has no room in an int32
        least = float(np.abs(bias).max()) / (source.quantization.scale * BIAS_LIMIT)
        scales[0] = float(np.float32(max(scales[0], least)))
        widths = [each.shape[1] for each in matrices.values()]
        integers, exact = compensated(
            np.hstack(list(matrices.values())).astype(np.float64),
            bias.astype(np.float64),
            np.repeat(scales, widths),
            carry,
        )
        parts = np.split(integers, np.cumsum(widths)[:-1], axis=1)
        tensors = [
            writer.constant(f"{name}.{one}", np.ascontiguousarray(part), Quantization(scale))
            for one, part, scale in zip(matrices, parts, scales, strict=True)
        ]
        product = float(np.float32(source.quantization.scale) * np.float32(scales[0]))
        # what the rounding of a column of enormous weights adds knows no limit
        whole = np.rint(np.clip(exact / product, -BIAS_LIMIT, BIAS_LIMIT)).astype(np.int32)
        return [*tensors, writer.constant(f"{name}.bias", whole, Quantization(product))]

    def _weights(self, name: str, weights: Float32) -> int:
        if not self._quantized:
            return self._writer.constant(name, np.asarray(weights, np.float32))
        scale = weight_scale(weights)
        return self._writer.constant(name, rounded(weights, scale), Quantization(scale))


def activation_quantization(span: Span) -> Quantization:
    """The int8 scale of a span, with an integer that is zero exactly."""
    low, high = span
    scale = float(np.float32((high - low) / INT8_STEPS)) or 1.0
    return Quantization(scale, int(np.clip(np.rint(INT8_LEAST - low / scale), -128, 127)))


def weight_scale(weights: Float32) -> float:
    """The symmetric int8 scale of a matrix; that of zeros is small, for the sake of its bias."""
    top = float(np.abs(weights).max()) or FINEST_CELL_SCALE
    return float(np.float32(top / INT8_LIMIT))


def rounded(weights: Float32, scale: float) -> NDArray[np.int8]:
    """The integers of weights."""
    integers = np.rint(weights.astype(np.float64) / scale)
    clipped: NDArray[np.int8] = np.clip(integers, -INT8_LIMIT, INT8_LIMIT).astype(np.int8)
    return clipped


def cell_scale(reach: float) -> float:
    """The power of two at which an int16 holds cell states of this magnitude."""
    needed = 2.0 ** np.ceil(np.log2(max(reach, FINEST_CELL_SCALE) / INT16_LIMIT))
    return float(np.clip(needed, FINEST_CELL_SCALE, COARSEST_CELL_SCALE))
