"""A network written as a TFLite file: what is in it, and what the runtime makes of it."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tflite")

from edge_unlock_convert import network
from edge_unlock_convert.quantization import flatbuffer, quantized
from edge_unlock_convert.quantization.lowering import (
    SCHEMES,
    activation_quantization,
    cell_scale,
    lower,
)
from edge_unlock_convert.quantization.ranges import lay_out
from edge_unlock_convert.quantization.statistics import Span
from tests.convert.conftest import make_dense, make_lstm


@pytest.fixture(scope="module")
def headed():
    """Two dense layers, the first with a ReLU, and attention."""
    generator = np.random.default_rng(5)
    return network.Network(
        (make_lstm(generator, 120, 16), make_lstm(generator, 16, 12)),
        (make_dense(generator, 12, 24, "relu"), make_dense(generator, 24, 10)),
        make_dense(generator, 12, 1),
    )


def worst(original, model, inputs):
    """Root mean square of the embedding's error, of that of the embedding."""
    pairs = zip(
        quantized.run(model, inputs, original.embedding_size),
        network.run(original, inputs),
        strict=True,
    )
    return max(
        float(np.linalg.norm(found.embedding - exact.embedding) / np.linalg.norm(exact.embedding))
        for found, exact in pairs
    )


@pytest.mark.parametrize(
    ("scheme", "error"), [("int8", 0.02), ("dynamic", 0.02), ("float32", 1e-5)]
)
def test_runtime_computes_the_network(headed, inputs, scheme, error):
    model = lower(headed, lay_out(headed, inputs, "minmax"), scheme)
    flatbuffer.check(flatbuffer.read(model), 2, scheme)
    assert worst(headed, model, inputs) < error


@pytest.mark.parametrize("scheme", SCHEMES)
def test_same_network_gives_the_same_bytes(headed, inputs, scheme):
    laid = lay_out(headed, inputs, "minmax")
    assert lower(headed, laid, scheme) == lower(headed, laid.copy(), scheme)


def test_last_hidden_state_may_be_the_embedding(headed, inputs):
    bare = replace(headed, embedding=(), attention=None)
    model = lower(bare, lay_out(bare, inputs, "minmax"), "int8")
    assert flatbuffer.read(model).operator_counts == {flatbuffer.LSTM: 2}
    assert worst(bare, model, inputs) < 0.02


def test_the_file_holds_weights_and_little_else(headed, inputs):
    model = lower(headed, lay_out(headed, inputs, "minmax"), "int8")
    graph = flatbuffer.read(model)
    assert graph.macs == headed.macs
    biases = headed.parameters - headed.macs
    assert len(model) < headed.macs + 4 * biases + 15_000


def test_gate_without_weights_keeps_its_bias(headed, inputs):
    """The scale of a bias follows from that of the weights, and zeros have none of their own."""
    first = headed.layers[0]
    weights, bias = first.input_weights.copy(), first.bias.copy()
    weights[:16], bias[:16] = 0, np.linspace(-2, 2, 16)
    changed = replace(
        headed, layers=(replace(first, input_weights=weights, bias=bias), headed.layers[1])
    )
    model = lower(changed, lay_out(changed, inputs, "minmax"), "int8")
    assert worst(changed, model, inputs) < 0.02


def test_bias_far_above_the_weights_does_not_overflow(headed, inputs):
    first = headed.layers[0]
    weights, bias = first.input_weights.copy(), first.bias.copy()
    weights[:16] *= 1e-9
    bias[:16] = 6
    changed = replace(
        headed, layers=(replace(first, input_weights=weights, bias=bias), headed.layers[1])
    )
    model = lower(changed, lay_out(changed, inputs, "minmax"), "int8")
    assert worst(changed, model, inputs) < 0.02


@pytest.mark.parametrize("span", [Span(-1, 1), Span(0, 3), Span(-3, 0), Span(-0.2, 5)])
def test_an_integer_is_zero_and_the_ends_are_held(span):
    scale, zero_point = activation_quantization(span)
    assert -128 <= zero_point <= 127
    assert scale * (-128 - zero_point) <= span.low + scale / 2
    assert scale * (127 - zero_point) >= span.high - scale / 2


def test_activations_that_are_always_zero_have_a_scale():
    assert activation_quantization(Span()).scale > 0


@pytest.mark.parametrize(
    ("reach", "scale"),
    [(0, 2**-15), (0.3, 2**-15), (0.999, 2**-15), (1.5, 2**-14), (9, 2**-11), (1e4, 2**-9)],
)
def test_cell_scale_is_a_power_of_two_that_the_kernel_knows(reach, scale):
    assert cell_scale(reach) == scale


def test_a_bias_stays_in_an_int32_whatever_the_weights(headed, inputs):
    """One enormous weight: what its column's rounding leaves to the bias knows no limit."""
    first = headed.layers[0]
    recurrent = first.recurrent_weights.copy()
    recurrent[3, 3] = 1e38
    huge = replace(headed, layers=(replace(first, recurrent_weights=recurrent), headed.layers[1]))
    with np.errstate(invalid="raise"):
        lower(huge, lay_out(huge, inputs, "minmax"), "int8")
