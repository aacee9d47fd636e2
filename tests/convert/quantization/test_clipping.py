"""Weights with a few large numbers, which leave coarse steps for all others."""

from dataclasses import replace

import numpy as np
import pytest

from edge_unlock_convert.network import run
from edge_unlock_convert.quantization.clipping import SHARES, clip_weights


@pytest.fixture
def ill_scaled(network, inputs):
    """A network of which one gate has one large weight, from a unit that is hardly ever active."""
    first = network.layers[0]
    input_weights, recurrent, bias = (
        array.copy() for array in (first.input_weights, first.recurrent_weights, first.bias)
    )
    units, silent, cell_gate = first.units, 5, 2
    bias[3 * units + silent] = -12  # its output gate stays shut
    recurrent[cell_gate * units + 7, silent] = 40
    layer = replace(first, input_weights=input_weights, recurrent_weights=recurrent, bias=bias)
    return replace(network, layers=(layer, *network.layers[1:]))


def test_large_weight_is_clipped_and_little_else(ill_scaled, inputs):
    clipped = clip_weights(ill_scaled, inputs)
    found, before = clipped.layers[0].recurrent_weights, ill_scaled.layers[0].recurrent_weights
    assert found.max() == np.float32(40 * SHARES[-1])
    assert np.count_nonzero(found[2 * 24 : 3 * 24] != before[2 * 24 : 3 * 24]) == 1
    for one, two in zip(clipped.layers, ill_scaled.layers, strict=True):
        np.testing.assert_array_equal(one.bias, two.bias)
        for matrix in ("input_weights", "recurrent_weights"):
            reach = [np.abs(np.split(getattr(n, matrix), 4)).max(axis=(1, 2)) for n in (one, two)]
            assert (reach[0] >= np.float32(SHARES[-1]) * reach[1] * (1 - 1e-6)).all()


def test_converted_network_is_nearer_to_its_float_form(ill_scaled, inputs):
    from edge_unlock_convert.quantization import quantized
    from edge_unlock_convert.quantization.conversion import convert

    exact = list(run(ill_scaled, inputs))

    def error(weight_range):
        model = convert(ill_scaled, inputs, "int8", "minmax", weight_range)
        found = quantized.run(model, inputs, ill_scaled.embedding_size)
        pairs = zip(found, exact, strict=True)
        return sum(np.square(one.embedding - two.embedding).sum() for one, two in pairs)

    assert error("output") < 0.7 * error("minmax")
