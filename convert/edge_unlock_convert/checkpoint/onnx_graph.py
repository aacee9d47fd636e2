"""Walks an ONNX graph from its input to its outputs, and says what layers lie on the way."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import TensorProto

from edge_unlock_convert.checkpoint import onnx_axes as axes
from edge_unlock_convert.checkpoint.onnx_arithmetic import Arithmetic
from edge_unlock_convert.checkpoint.onnx_axes import Layout
from edge_unlock_convert.checkpoint.onnx_constants import Constants, constant
from edge_unlock_convert.checkpoint.onnx_lstm import lstm_layer
from edge_unlock_convert.checkpoint.onnx_nodes import EXPORT_AGAIN, Nodes, Value, attributes
from edge_unlock_convert.checkpoint.onnx_steps import PRODUCT, Steps
from edge_unlock_convert.checkpoint.step import Lstm, Pool, Refused, Track
from edge_unlock_convert.errors import CheckpointError

IDLE = ("Identity", "Cast", "Dropout")
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
SHAPES = ("Shape", "ConstantOfShape", "Size", "Range")
"""Say how large a tensor is, whatever is in it."""
KEEPING_ZEROS = ("Cast", "Expand", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Tile",
                 "Transpose", "Unsqueeze")  # fmt: skip
"""Give zeros for a first input of zeros, however their other inputs shape it."""
JOINING_ZEROS = ("Add", "Concat", "Mul")
LENGTH_OPERATORS = ("ReduceL2", "Clip", "Expand", "Max", "Sqrt", "Add", "Unsqueeze", "Squeeze",
                    "Reshape", *IDLE)  # fmt: skip
"""How exporters write the length that an embedding is divided by."""
WEIGHING_OPERATORS = ("Mul", "ReduceSum", "Transpose", "Squeeze", "Unsqueeze", "Reshape", PRODUCT,
                      *IDLE)  # fmt: skip
"""Between a softmax over the steps and the sum of what it weighs."""
REASONS = {
    "Loop": "the LSTM is written out as a loop",
    "Scan": "the LSTM is written out as a loop",
    "GRU": "it is a GRU",
}
HINTS = {
    "Loop": "Convert the .keras, .h5 or .pt file itself: there the LSTM is still a layer.",
    "Scan": "Convert the .keras, .h5 or .pt file itself: there the LSTM is still a layer.",
    "GRU": "Only LSTM can be converted.",
}


class Graph:
    """A graph, each node of which is visited once, in the order that ONNX prescribes."""

    def __init__(self, graph: Any, constants: Constants) -> None:
        self._graph, self._constants = graph, constants
        self._producers = {name: node for node in graph.node for name in node.output if name}
        inputs = [one for one in graph.input if one.name not in constants]
        self._free = {one.name for one in inputs[1:]}
        """Inputs besides the first: the states that a streaming export carries along."""
        self.notes: dict[str, None] = {}
        """What was assumed on the way, in its order."""
        self._values = {inputs[0].name: _input(inputs[0])} if inputs else {}
        self._nodes = Nodes(constants, self._values)
        steps = Steps(constants, self._values)
        self.weighers = steps.weighers
        self._handlers = Arithmetic(constants, self._values).handlers | steps.handlers

    def walk(self) -> list[Track]:
        """The tracks of the outputs that come from the input."""
        for node in self._graph.node:
            source = next((name for name in _read_by(node) if name in self._values), None)
            if source is None or node.op_type in SHAPES:
                continue
            value = self._values[source]
            if node.op_type == "LSTM":
                self._lstm(node, value)
                continue
            try:
                after = self._visit(node, value)
            except CheckpointError as error:
                after = self._refuse(node, value, error)
            for name in node.output:
                self._values[name] = after
        ends = [self._values[one.name] for one in self._graph.output if one.name in self._values]
        return [end.track for end in ends if not end.is_length]

    def _visit(self, node: Any, value: Value) -> Value:
        if value.is_broken:  # one reason is enough
            for name in node.input:
                self._constants.use(name)
            return value
        if value.is_length and node.op_type in LENGTH_OPERATORS:
            return value
        operator = str(node.op_type)
        if operator == "MatMul" and all(name in self._values for name in node.input):
            operator = PRODUCT
        if value.weigher is not None and operator not in WEIGHING_OPERATORS:
            raise CheckpointError(
                f"a {node.op_type} node changes the weights of the steps", EXPORT_AGAIN
            )
        if node.op_type in IDLE:
            if node.op_type == "Cast" and attributes(node)["to"] not in FLOATS:
                raise CheckpointError("the model rounds what a layer gives", EXPORT_AGAIN)
            return value
        if operator not in self._handlers:
            raise CheckpointError(
                f"the model has a {node.op_type} node: "
                f"{REASONS.get(node.op_type, 'the device cannot compute it')}",
                HINTS.get(node.op_type, EXPORT_AGAIN),
            )
        return self._handlers[operator](node, value)

    def _refuse(self, node: Any, value: Value, error: CheckpointError) -> Value:
        for name in node.input:
            self._constants.use(name)
        form = Refused(str(error), error.hint or EXPORT_AGAIN)
        return self._nodes.then(node, value, form)._replace(layout=None)

    def _lstm(self, node: Any, value: Value) -> None:
        names = [*node.input, *[""] * (8 - len(node.input))]
        steps, state = axes.STEPS, axes.STATE
        try:
            if not value.reads_features:
                raise CheckpointError("an LSTM does not read features", EXPORT_AGAIN)
            if names[7] or any(name and not self._is_start(name) for name in names[5:7]):
                raise CheckpointError(
                    "an LSTM node has an initial state or peepholes",
                    "The device starts every utterance from zero, and has no peepholes.",
                )
            layer, batch_first = lstm_layer(node, self._constants)
            if batch_first:
                steps, state = axes.STEPS_BATCH_FIRST, axes.STATE_BATCH_FIRST
            after = self._nodes.then(node, value, Lstm(layer), layer.units)
        except CheckpointError as error:
            after = self._refuse(node, value, error)
        after = after._replace(weigher=None, weighed=False)
        for position, name in enumerate(node.output):
            if name and position == 0:  # all hidden states
                self._values[name] = after._replace(layout=steps)
            elif name and position == 1:  # the last one
                last = self._nodes.then(node, after, Pool("last"))
                self._values[name] = last._replace(layout=state)

    def _is_start(self, name: str) -> bool:
        """Whether a state is zero, or is given from outside, where the device starts at zero."""
        if name in self._free:
            self.notes[f"assumed: the state {name} that is given from outside starts at zero"] = (
                None
            )
            return True
        found = self._constants.get(name)
        if found is not None:
            return not np.any(found)
        node = self._producers.get(name)
        if node is None:
            return False
        if node.op_type == "ConstantOfShape":
            return not np.any(constant(node))
        sources = node.input if node.op_type in JOINING_ZEROS else node.input[:1]
        known = node.op_type in JOINING_ZEROS or node.op_type in KEEPING_ZEROS
        return known and all(self._is_start(one) for one in sources)


def _input(described: Any) -> Value:
    """The first input: its last axis has the features; which of the others is time is not said."""
    dimensions = described.type.tensor_type.shape.dim
    layout: Layout = None
    if len(dimensions) == 3:
        layout = ("batch", "batch", "feature")
    size = dimensions[-1].dim_value if dimensions else 0
    return Value(layout=layout, size=size or None)


def _read_by(node: Any) -> Iterator[str]:
    """The tensors that a node reads, with those that the body of a loop takes from around it."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from inner.input
