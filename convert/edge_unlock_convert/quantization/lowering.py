"""A ``Network`` to TFLite: the one path for every checkpoint."""

from typing import Literal, get_args

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.network import Network
from edge_unlock_convert.quantization.fused import Fused
from edge_unlock_convert.quantization.statistics import measure
from edge_unlock_convert.quantization.unfused import Unfused

Scheme = Literal["dynamic", "int8", "float32"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)


def lower(network: Network, representative: Float32, scheme: Scheme) -> bytes:
    """Convert to a TFLite flatbuffer with a batch of 1 and one step.

    ``dynamic`` has int8 weights and multiplies them by inputs that are rounded to int8 by the range
    of each step; what lies between is float. ``int8`` computes in integers throughout, with ranges
    that are fixed. ``float32`` rounds nothing.

    ``representative`` float32 (N, T, F) is network input that shows the range of every activation.
    The outputs are the embedding of every step and, with attention, one logit a step.
    """
    if scheme == "float32":
        return Unfused(network).model()
    statistics = measure(network, representative)
    if scheme == "int8":
        return Fused(network, statistics).model()
    return Unfused(network, statistics).model()
