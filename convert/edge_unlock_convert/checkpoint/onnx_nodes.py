"""What a tensor of an ONNX graph is, and what all handlers of its nodes need."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import onnx

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.checkpoint.onnx_axes import Layout
from edge_unlock_convert.checkpoint.onnx_constants import Constants
from edge_unlock_convert.checkpoint.step import Form, Lstm, Refused, Step, Track
from edge_unlock_convert.errors import CheckpointError

EXPORT_AGAIN = (
    "Export the network alone (an LSTM stack, dense layers), or end it earlier: --embedding LAYER."
)
WEIGHT_NAME = re.compile(r"^(?!onnx::|val_|const_)(?P<module>.+)\.(weight|bias|running_)\w*$")
"""How PyTorch calls the weights of a module, unless it numbers them."""


class Value(NamedTuple):
    """What a tensor is: the layers that made it, its axes, and the size of a step.

    ``is_length`` marks the length of an embedding; ``weigher`` the track of the weights, over
    all steps of sum 1, that the tensor is or was multiplied by.
    """

    track: Track = ()
    layout: Layout = None
    size: int | None = None
    is_length: bool = False
    weigher: Track | None = None
    weighed: bool = False

    @property
    def has_lstm(self) -> bool:
        """Whether an LSTM made it."""
        return any(isinstance(step.form, Lstm) for step in self.track)

    @property
    def is_broken(self) -> bool:
        """Whether a layer made it that cannot be converted."""
        return any(isinstance(step.form, Refused) for step in self.track)

    @property
    def reads_features(self) -> bool:
        """Whether its last axis has the features; before the LSTM that is taken for granted."""
        return self.layout[-1] == "feature" if self.layout else not self.has_lstm


class Nodes:
    """Handlers of nodes, which make the value that a node gives of the one that it reads.

    ``constants`` and ``values`` hold the tensors so far, those that depend on no input and those
    that do.
    """

    def __init__(self, constants: Constants, values: Mapping[str, Value]) -> None:
        self.constants, self.values = constants, values

    def then(self, node: Any, value: Value, form: Form, size: int | None = None) -> Value:
        """The value with one more layer on its way, which gives ``size`` features."""
        step = Step(self.name(node), node.op_type, form)
        return value._replace(track=(*value.track, step), size=size or value.size)

    def name(self, node: Any) -> str:
        """The layer's name: that of its weights' module, or what the exporter called the node."""
        for name in node.input:
            for origin in sorted(self.constants.origins(name)):
                if match := WEIGHT_NAME.match(origin):
                    return str(match["module"])
        parts = [part for part in str(node.name).split("/") if part]
        if len(parts) < 2:
            return str(node.name or node.output[0])
        return ".".join(parts[:-1]) if node.name.startswith("/") else parts[-2]

    def axes_of(self, node: Any) -> list[int] | None:
        """The axes that a node works over: an attribute, or the second input."""
        given = attributes(node).get("axes")
        return list(given) if given is not None else self.numbers(node, 1)

    def numbers(self, node: Any, position: int) -> list[int] | None:
        """The constant integers of an input, if they are known."""
        name = node.input[position] if len(node.input) > position else ""
        found = self.constants.get(name)
        return None if found is None else [int(one) for one in found.reshape(-1)]


def attributes(node: Any) -> dict[str, Any]:
    """The attributes of a node by name."""
    return {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}


def matrix(weights: Float32) -> Float32:
    """The weights. Raises ``CheckpointError`` if they have not two axes."""
    if weights.ndim != 2:
        raise CheckpointError("a dense layer's weights are no matrix", EXPORT_AGAIN)
    return weights
