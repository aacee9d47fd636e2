"""A network to the TFLite model of it, by a recipe: which ranges, which weights, which scheme."""

from collections.abc import Sequence

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.network import Network
from edge_unlock_convert.quantization import flatbuffer, ranges
from edge_unlock_convert.quantization.clipping import WeightRange, clip_weights
from edge_unlock_convert.quantization.lowering import Scheme, lower
from edge_unlock_convert.quantization.ranges import Range


def convert(
    network: Network,
    inputs: Sequence[Float32],
    scheme: Scheme,
    method: Range,
    weight_range: WeightRange = "minmax",
) -> bytes:
    """The TFLite model of a network, with the ranges of ``inputs``, each (T, F); checked."""
    if weight_range == "output":
        network = clip_weights(network, inputs)
    model = lower(network, ranges.lay_out(network, inputs, method), scheme)
    flatbuffer.check(flatbuffer.read(model), len(network.layers), scheme)
    return model
