"""A network written as a TFLite file: what is in it, and what the runtime makes of it."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tflite")

from edge_unlock_convert import network
from edge_unlock_convert.quantization import flatbuffer, quantized
from edge_unlock_convert.quantization.lowering import SCHEMES, lower
from edge_unlock_convert.quantization.ranges import lay_out
from tests.convert.conftest import make_dense, make_lstm

ERRORS = {"dynamic": 0.01, "int8": 0.02, "float32": 1e-5}
"""Of the embedding, at most, by each scheme."""


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


@pytest.fixture(params=list(SCHEMES))
def scheme(request):
    return request.param


def test_runtime_computes_the_network(headed, inputs, scheme):
    model = lower(headed, lay_out(headed, inputs, "minmax"), scheme)
    flatbuffer.check(flatbuffer.read(model), 2, scheme)
    assert worst(headed, model, inputs) < ERRORS[scheme]


def test_hidden_states_are_those_of_the_network(headed, inputs, scheme):
    model = lower(headed, lay_out(headed, inputs, "minmax"), scheme)
    found = next(iter(quantized.run(model, inputs[:1], headed.embedding_size)))
    exact = next(iter(network.run(headed, inputs[:1])))
    assert len(found.hidden) == len(exact.hidden) == 2
    for one, other in zip(found.hidden, exact.hidden, strict=True):
        np.testing.assert_allclose(one, other, atol=0.02)
    np.testing.assert_allclose(found.logit, exact.logit, atol=0.05)


def test_same_network_gives_the_same_bytes(headed, inputs, scheme):
    laid = lay_out(headed, inputs, "minmax")
    assert lower(headed, laid, scheme) == lower(headed, laid.copy(), scheme)


def test_last_hidden_state_may_be_the_embedding(headed, inputs, scheme):
    bare = replace(headed, embedding=(), attention=None)
    model = lower(bare, lay_out(bare, inputs, "minmax"), scheme)
    flatbuffer.check(flatbuffer.read(model), 2, scheme)
    assert worst(bare, model, inputs) < ERRORS[scheme]


def test_the_file_holds_weights_and_little_else(headed, inputs, scheme):
    model = lower(headed, lay_out(headed, inputs, "minmax"), scheme)
    assert flatbuffer.read(model).macs == headed.macs
    numbers = headed.parameters - headed.macs  # biases, and with "dynamic" twice as many scales
    assert len(model) < headed.macs * (4 if scheme == "float32" else 1) + 12 * numbers + 15_000


def test_gate_without_weights_keeps_its_bias(headed, inputs, scheme):
    """The scale of a bias follows from that of the weights, and zeros have none of their own."""
    first = headed.layers[0]
    weights, bias = first.input_weights.copy(), first.bias.copy()
    weights[:16], bias[:16] = 0, np.linspace(-2, 2, 16)
    changed = replace(
        headed, layers=(replace(first, input_weights=weights, bias=bias), headed.layers[1])
    )
    model = lower(changed, lay_out(changed, inputs, "minmax"), scheme)
    assert worst(changed, model, inputs) < ERRORS[scheme]


def test_bias_far_above_the_weights_does_not_overflow(headed, inputs, scheme):
    first = headed.layers[0]
    weights, bias = first.input_weights.copy(), first.bias.copy()
    weights[:16] *= 1e-9
    bias[:16] = 6
    changed = replace(
        headed, layers=(replace(first, input_weights=weights, bias=bias), headed.layers[1])
    )
    model = lower(changed, lay_out(changed, inputs, "minmax"), scheme)
    assert worst(changed, model, inputs) < ERRORS[scheme]


def test_a_few_large_weights_do_not_make_the_others_coarse(headed, inputs):
    """Each row has a scale of its own; the fused operator has one for a gate's whole matrix."""
    first = headed.layers[0]
    recurrent = first.recurrent_weights.copy()
    recurrent[[3, 20, 35, 50], [2, 7, 9, 11]] = 40.0
    changed = replace(
        headed, layers=(replace(first, recurrent_weights=recurrent), headed.layers[1])
    )
    laid = lay_out(changed, inputs, "minmax")
    errors = {
        scheme: worst(changed, lower(changed, laid, scheme), inputs)
        for scheme in ("dynamic", "int8")
    }
    assert errors["dynamic"] < 0.5 * errors["int8"]


def test_a_bias_is_finite_whatever_the_weights(headed, inputs, scheme):
    """One enormous weight: what its column's rounding leaves to the bias knows no limit."""
    first = headed.layers[0]
    recurrent = first.recurrent_weights.copy()
    recurrent[3, 3] = 1e38
    huge = replace(headed, layers=(replace(first, recurrent_weights=recurrent), headed.layers[1]))
    with np.errstate(invalid="raise"):
        model = lower(huge, lay_out(huge, inputs, "minmax"), scheme)
    found = next(iter(quantized.run(model, inputs[:1], huge.embedding_size)))
    assert np.isfinite(found.embedding).all()
