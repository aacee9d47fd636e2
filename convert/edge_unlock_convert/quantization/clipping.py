"""The range of the LSTM weights, which TFLite rounds with one scale a gate's matrix."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.network import GATES, Network, run
from edge_unlock_convert.quantization.rounding import INT8_LIMIT

WeightRange = Literal["minmax", "output"]
WEIGHT_RANGES: tuple[WeightRange, ...] = get_args(WeightRange)
SHARES = (1.0, 0.8, 0.6, 0.45, 0.35, 0.25)
HOPELESS = 4.0
"""A share whose error is so many times the least ends the search: less would clip more."""
SHOWN_UTTERANCES, SHOWN_STEPS = 16, 150


def clip_weights(network: Network, utterances: Sequence[Float32]) -> Network:
    """The network with the LSTM weights clipped, gate by gate, to the range that suits int8.

    Few large weights make the steps of all others coarse; clipping them (Banner et al. 2019)
    may cost less. Each matrix gets that share of its range with which, rounded alone, it
    changes the network's output for ``utterances``, each (T, F), least.
    """
    shown = [steps[:SHOWN_STEPS] for steps in utterances[:SHOWN_UTTERANCES]]
    exact = [outputs.embedding for outputs in run(network, shown)]

    def error(layer: int, matrix: str, weights: Float32) -> float:
        pairs = zip(run(_changed(network, layer, matrix, weights), shown), exact, strict=True)
        return sum(float(np.square(found.embedding - wanted).sum()) for found, wanted in pairs)

    clipped = network
    for number, layer in enumerate(network.layers):
        for matrix in ("input_weights", "recurrent_weights"):
            weights = getattr(layer, matrix)
            limits = np.empty((GATES, 1, 1), np.float32)
            for gate in range(GATES):
                top = np.abs(np.split(weights, GATES)[gate]).max()
                least = np.inf
                for share in SHARES:
                    found = error(number, matrix, _round_gate(weights, gate, share * top))
                    if found < least:
                        least, limits[gate] = found, share * top
                    if found > HOPELESS * least:
                        break
            gates = weights.reshape(GATES, layer.units, -1)
            fitted = np.clip(gates, -limits, limits).reshape(weights.shape)
            clipped = _changed(clipped, number, matrix, fitted)
    return clipped


def _round_gate(weights: Float32, gate: int, limit: float) -> Float32:
    """Weights of which one gate went through int8 with the range ``limit``."""
    scale = limit / INT8_LIMIT or 1.0
    gates = np.split(weights, GATES)
    gates[gate] = np.clip(np.rint(gates[gate] / scale), -INT8_LIMIT, INT8_LIMIT) * scale
    rounded: Float32 = np.concatenate(gates).astype(np.float32)
    return rounded


def _changed(network: Network, layer: int, matrix: str, weights: Float32) -> Network:
    layers = list(network.layers)
    layers[layer] = replace(layers[layer], **{matrix: weights})
    return replace(network, layers=tuple(layers))
