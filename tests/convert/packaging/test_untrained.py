"""The network that learned nothing."""

import numpy as np

from edge_unlock_convert.packaging.untrained import untrained


def test_it_has_the_shape_and_nothing_of_the_weights(network):
    found = untrained(network)
    assert found.shape == network.shape and found.pooling == network.pooling
    for before, after in zip(network.layers, found.layers, strict=True):
        assert after.input_weights.shape == before.input_weights.shape
        assert (
            abs(np.corrcoef(before.input_weights.ravel(), after.input_weights.ravel())[0, 1]) < 0.2
        )
        assert np.abs(after.recurrent_weights).max() <= before.units**-0.5
    assert [one.activation for one in found.embedding] == [
        one.activation for one in network.embedding
    ]
    assert (found.attention is None) == (network.attention is None)


def test_it_is_always_the_same(network):
    first, second = untrained(network), untrained(network)
    assert np.array_equal(first.layers[0].bias, second.layers[0].bias)
