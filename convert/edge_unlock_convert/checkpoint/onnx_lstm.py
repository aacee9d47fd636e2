"""The LSTM node of ONNX."""

from typing import Any

import numpy as np
import onnx

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.checkpoint.onnx_constants import Constants
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.network import GATES, LstmLayer

GATE_ORDER = (0, 2, 3, 1)
"""Places of i, f, g, o in ONNX's order i, o, f, c (operator LSTM of the ONNX specification)."""


def lstm_layer(node: Any, constants: Constants) -> tuple[LstmLayer, bool]:
    """The layer of a node, and whether its batch comes first (layout=1).

    Raises ``CheckpointError`` when the device has no such LSTM.
    """
    attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    _check_attributes(attributes)
    inputs, recurrent = (constants.weights(name) for name in node.input[1:3])
    if inputs.ndim != 3 or recurrent.ndim != 3 or len(inputs) != 1 or len(recurrent) != 1:
        raise CheckpointError("the weights of an LSTM node are no LSTM's", "The file is malformed.")
    rows = inputs.shape[1]
    bias = np.zeros(rows, np.float32)
    if len(node.input) > 3 and node.input[3]:
        both = constants.weights(node.input[3]).reshape(-1)
        bias = both[:rows] + both[rows:]
    layer = LstmLayer(_gates(inputs[0]), _gates(recurrent[0]), _gates(bias))
    return layer, attributes.get("layout", 0) == 1


def _check_attributes(attributes: dict[str, Any]) -> None:
    if attributes.get("direction", b"forward") != b"forward":
        raise CheckpointError(
            "the LSTM is bidirectional or runs backwards",
            "It needs the end of the utterance first and cannot stream: train one direction.",
        )
    activations = [one.lower() for one in attributes.get("activations", [])]
    if (
        activations not in ([], [b"sigmoid", b"tanh", b"tanh"])
        or attributes.get("clip")
        or attributes.get("input_forget")
    ):
        raise CheckpointError(
            "an LSTM node has other activations, clipping or coupled gates",
            "The fused LSTM of TFLite computes sigmoid and tanh only.",
        )


def _gates(stacked: Float32) -> Float32:
    if len(stacked) % GATES:
        raise CheckpointError("an LSTM node has no four gates", "The file is malformed.")
    blocks = np.split(stacked, GATES)
    return np.concatenate([blocks[place] for place in GATE_ORDER])
