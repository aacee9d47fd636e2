"""What the same speech gives a network that learned nothing: the least that training must beat."""

from dataclasses import replace

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.network import Dense, LstmLayer, Network


def untrained(network: Network, seed: int = 0) -> Network:
    """A network of the same shape with the random weights that PyTorch begins with.

    They are uniform within 1 / sqrt(units) (LSTM) or 1 / sqrt(inputs) (dense layers); whose scale
    the random features have is that of its inputs, which the front end gives both alike.
    """
    generator = np.random.default_rng(seed)

    def uniform(like: Float32, fan: int) -> Float32:
        bound = fan**-0.5
        return generator.uniform(-bound, bound, like.shape).astype(np.float32)

    def lstm(layer: LstmLayer) -> LstmLayer:
        arrays = (layer.input_weights, layer.recurrent_weights, layer.bias)
        return LstmLayer(*(uniform(one, layer.units) for one in arrays))

    def dense(one: Dense) -> Dense:
        fan = one.weights.shape[1]
        return Dense(uniform(one.weights, fan), uniform(one.bias, fan), one.activation)

    attention = network.attention
    return replace(
        network,
        layers=tuple(map(lstm, network.layers)),
        embedding=tuple(map(dense, network.embedding)),
        attention=None if attention is None else dense(attention),
    )
