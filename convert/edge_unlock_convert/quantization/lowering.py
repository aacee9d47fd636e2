"""A ``Network`` to TFLite: the one path for every checkpoint."""

from typing import Literal

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.network import Network
from edge_unlock_convert.quantization.fused import Fused
from edge_unlock_convert.quantization.statistics import measure
from edge_unlock_convert.quantization.unfused import Unfused

Scheme = Literal["dynamic", "int8", "float32"]
SCHEMES: dict[Scheme, str] = {
    "dynamic": "int8 weights and products, inputs rounded by the range of each step, float between",
    "int8": "integers throughout, with fixed ranges",
    "float32": "nothing rounded",
}
"""What each rounds, for people."""


def lower(network: Network, representative: Float32, scheme: Scheme) -> bytes:
    """Convert to a TFLite flatbuffer with a batch of 1 and one step.

    ``representative`` float32 (N, T, F) is network input: it shows the range of every activation,
    and on which inputs weights have to make up for each other's rounding.
    The outputs are the embedding of every step and, with attention, one logit a step.
    """
    if scheme == "float32":
        return Unfused(network).model()
    statistics = measure(network, representative)
    if scheme == "int8":
        return Fused(network, statistics).model()
    return Unfused(network, statistics).model()
