"""The whole way of a network into a TFLite model, by each scheme."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tflite")

from edge_unlock_convert import network
from edge_unlock_convert.quantization import compare, quantized
from edge_unlock_convert.quantization.conversion import convert
from edge_unlock_convert.quantization.statistics import measure
from tests.convert.conftest import COEFFICIENTS, STACKED, make_lstm


def test_cells_that_stay_small_keep_a_scale_that_the_kernel_can_use(inputs):
    """Their reach alone asks for a scale of 2^-16, with which the kernel computes nonsense."""
    generator = np.random.default_rng(7)
    small = make_lstm(generator, COEFFICIENTS * STACKED, 16)
    original = network.Network(
        (
            network.LstmLayer(
                small.input_weights / 40, small.recurrent_weights / 40, small.bias / 40
            ),
        )
    )
    model = convert(original, inputs, "int8", "minmax")
    for found, exact in zip(
        quantized.run(model, inputs, 16), network.run(original, inputs), strict=True
    ):
        noise = np.square(found.embedding - exact.embedding).sum()
        assert noise < 0.01 * np.square(exact.embedding).sum()


@pytest.mark.parametrize("scheme", ["int8", "dynamic", "float32"])
def test_cells_may_grow_beyond_ten(inputs, scheme):
    generator = np.random.default_rng(8)
    layer = make_lstm(generator, COEFFICIENTS * STACKED, 16)
    bias = layer.bias.copy()
    bias[:48] += 4  # the gates of writing and keeping stay open, and the candidate is 1
    original = network.Network((replace(layer, bias=bias),))
    assert measure(original, inputs[2][None]).cells[0] > 20
    model = convert(original, inputs, scheme, "minmax")
    exact = next(iter(network.run(original, [inputs[2]]))).embedding
    found = next(iter(quantized.run(model, [inputs[2]], 16))).embedding
    assert np.abs(found - exact).max() < 0.05


@pytest.mark.parametrize("scheme", ["int8", "dynamic", "float32"])
def test_embeddings_are_those_of_the_float_network(network, inputs, scheme):
    model = convert(network, inputs, scheme, "minmax")
    embedded = compare.embed(network, model, inputs, "attention")
    assert np.sum(embedded.original * embedded.quantized, axis=1).min() > 0.9995
