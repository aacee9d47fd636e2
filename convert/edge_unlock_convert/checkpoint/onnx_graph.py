"""Walks an ONNX graph from its input to its outputs, and says what layers lie on the way."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnx

from edge_unlock.features import Float32
from edge_unlock_convert.checkpoint import onnx_axes as axes
from edge_unlock_convert.checkpoint.onnx_axes import Layout
from edge_unlock_convert.checkpoint.onnx_constants import Constants, constant
from edge_unlock_convert.checkpoint.onnx_lstm import lstm_layer
from edge_unlock_convert.checkpoint.step import (
    Affine,
    Form,
    Lstm,
    Plain,
    Pool,
    Refused,
    Step,
    Track,
)
from edge_unlock_convert.errors import CheckpointError

IDLE = ("Identity", "Cast", "Dropout")
SHAPES = ("Shape", "ConstantOfShape", "Size", "Range")
"""Say how large a tensor is, whatever is in it."""
KEEPING_ZEROS = ("Cast", "Expand", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Tile",
                 "Transpose", "Unsqueeze")  # fmt: skip
"""Give zeros for a first input of zeros, however their other inputs shape it."""
JOINING_ZEROS = ("Add", "Concat", "Mul")
LENGTH_OPERATORS = ("ReduceL2", "Clip", "Expand", "Max", "Sqrt", "Add", "Unsqueeze", "Squeeze",
                    "Reshape", *IDLE)  # fmt: skip
"""How exporters write the length that an embedding is divided by."""
WEIGHING_OPERATORS = ("Mul", "ReduceSum", "Transpose", "Squeeze", "Unsqueeze", "Reshape", *IDLE)
"""Between a softmax over the steps and the sum of what it weighs."""
EXPORT_AGAIN = (
    "Export the network alone (an LSTM stack, dense layers), or end it earlier: --embedding LAYER."
)
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
WEIGHT_NAME = re.compile(r"^(?!onnx::|val_|const_)(?P<module>.+)\.(weight|bias|running_)\w*$")


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


class Graph:
    """A graph, each node of which is visited once, in the order that ONNX prescribes."""

    def __init__(self, graph: Any, constants: Constants) -> None:
        self._graph, self._constants = graph, constants
        self._producers = {name: node for node in graph.node for name in node.output if name}
        inputs = [one for one in graph.input if one.name not in constants]
        self._free = {one.name for one in inputs[1:]}
        """Inputs besides the first: the states that a streaming export carries along."""
        self._values = {inputs[0].name: _input(inputs[0])} if inputs else {}
        self.weighers: list[Track] = []
        """Tracks that weigh the steps inside of the graph."""
        self._handlers: dict[str, Callable[[Any, Value], Value]] = {
            "MatMul": self._matmul,
            "Gemm": self._gemm,
            "Add": self._shift,
            "Sub": self._shift,
            "Mul": self._scale,
            "Div": self._scale,
            "BatchNormalization": self._batch_norm,
            "Relu": lambda node, value: self._then(node, value, Plain("relu")),
            "Softmax": self._softmax,
            "Gather": self._gather,
            "Slice": self._slice,
            "Concat": self._join,
            "ReduceMean": self._mean,
            "ReduceSum": self._weighed_sum,
            "LpNormalization": lambda node, value: self._then(node, value, Plain("unit")),
            "ReduceL2": self._length,
            "Transpose": self._transpose,
            "Squeeze": lambda node, value: value._replace(
                layout=axes.squeeze(value.layout, self._axes(node))
            ),
            "Unsqueeze": lambda node, value: value._replace(
                layout=axes.unsqueeze(value.layout, self._axes(node) or [])
            ),
            "Reshape": self._reshape,
            "Flatten": self._reshape,
        }

    def walk(self) -> list[Track]:
        """The tracks of the outputs that come from the input."""
        for node in self._graph.node:
            source = next((name for name in node.input if name in self._values), None)
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
        if value.weigher is not None and node.op_type not in WEIGHING_OPERATORS:
            raise CheckpointError(
                f"a {node.op_type} node changes the weights of the steps", EXPORT_AGAIN
            )
        if node.op_type in IDLE:
            return value
        if node.op_type not in self._handlers:
            raise CheckpointError(
                f"the model has a {node.op_type} node: "
                f"{REASONS.get(node.op_type, 'the device cannot compute it')}",
                HINTS.get(node.op_type, EXPORT_AGAIN),
            )
        return self._handlers[node.op_type](node, value)

    def _refuse(self, node: Any, value: Value, error: CheckpointError) -> Value:
        for name in node.input:
            self._constants.use(name)
        form = Refused(str(error), error.hint or EXPORT_AGAIN)
        return self._then(node, value, form)._replace(layout=None)

    def _then(self, node: Any, value: Value, form: Form, size: int | None = None) -> Value:
        step = Step(self._name(node), node.op_type, form)
        return value._replace(track=(*value.track, step), size=size or value.size)

    def _name(self, node: Any) -> str:
        """The layer's name: that of its weights' module, or what the exporter called the node."""
        for name in node.input:
            for origin in sorted(self._constants.origins(name)):
                if match := WEIGHT_NAME.match(origin):
                    return str(match["module"])
        parts = [part for part in str(node.name).split("/") if part]
        if len(parts) < 2:
            return str(node.name or node.output[0])
        return ".".join(parts[:-1]) if node.name.startswith("/") else parts[-2]

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
            after = self._then(node, value, Lstm(layer), layer.units)
        except CheckpointError as error:
            after = self._refuse(node, value, error)
        after = after._replace(weigher=None, weighed=False)
        for position, name in enumerate(node.output):
            if name and position == 0:  # all hidden states
                self._values[name] = after._replace(layout=steps)
            elif name and position == 1:  # the last one
                last = self._then(node, after, Pool("last"))
                self._values[name] = last._replace(layout=state)

    def _matmul(self, node: Any, value: Value) -> Value:
        if node.input[0] not in self._values:
            raise CheckpointError("a matrix is multiplied from the left", EXPORT_AGAIN)
        weights = _matrix(self._constants.weights(node.input[1])).T.copy()
        return self._dense(node, value, weights, np.zeros(len(weights), np.float32))

    def _gemm(self, node: Any, value: Value) -> Value:
        attributes = _attributes(node)
        scaled = any(attributes.get(name, 1.0) != 1.0 for name in ("alpha", "beta"))
        if attributes.get("transA") or scaled or node.input[0] not in self._values:
            raise CheckpointError("a dense layer is scaled or transposed", EXPORT_AGAIN)
        weights = _matrix(self._constants.weights(node.input[1]))
        weights = weights if attributes.get("transB") else weights.T.copy()
        bias = np.zeros(len(weights), np.float32)
        if len(node.input) > 2:
            bias = bias + self._constants.weights(node.input[2]).reshape(-1)
        return self._dense(node, value, weights, bias)

    def _dense(self, node: Any, value: Value, weights: Float32, bias: Float32) -> Value:
        if not value.reads_features:
            raise CheckpointError("a dense layer does not read a step", EXPORT_AGAIN)
        return self._then(node, value, Affine(weights, bias), len(weights))

    def _shift(self, node: Any, value: Value) -> Value:
        """Add and Sub of a constant: the bias of a dense layer, or a part of a normalization."""
        vector, first = self._vector(node, value)
        sign = -1 if node.op_type == "Sub" else 1
        if sign < 0 and first:
            return self._part(node, value, np.full_like(vector, -1), vector)
        last = value.track[-1] if value.track else None
        if last is not None and isinstance(last.form, Affine) and last.kind == "MatMul":
            name = self._name(node) if self._is_named(node) else last.name
            form = Affine(last.form.weights, last.form.bias + sign * vector)
            return value._replace(track=(*value.track[:-1], Step(name, "MatMul", form)))
        return self._part(node, value, np.ones_like(vector), sign * vector)

    def _is_named(self, node: Any) -> bool:
        origins = [one for name in node.input for one in self._constants.origins(name)]
        return any(WEIGHT_NAME.match(one) for one in origins)

    def _scale(self, node: Any, value: Value) -> Value:
        """Mul and Div: by a constant, by the embedding's own length, or by the steps' weights."""
        others = [self._values.get(name) for name in node.input]
        if all(one is not None for one in others):
            return self._combine(node, [one for one in others if one is not None])
        if value.weigher is not None or value.is_length:
            raise CheckpointError(f"a {node.op_type} node scales weights", EXPORT_AGAIN)
        vector, first = self._vector(node, value)
        if node.op_type == "Div":
            if first:
                raise CheckpointError("the model divides by what a layer gives", EXPORT_AGAIN)
            vector = 1 / vector
        return self._part(node, value, vector, np.zeros_like(vector))

    def _combine(self, node: Any, values: list[Value]) -> Value:
        one, other = values
        if node.op_type == "Div" and other.is_length:
            return self._then(node, one, Plain("unit"))
        if node.op_type == "Mul" and (one.weigher is None) != (other.weigher is None):
            weights, steps = (other, one) if one.weigher is None else (one, other)
            if weights.weighed or weights.layout != steps.layout:
                raise CheckpointError("the model weighs what are no steps", EXPORT_AGAIN)
            return steps._replace(weigher=weights.weigher, weighed=True)
        raise CheckpointError(
            f"a {node.op_type} node joins two branches of the model",
            "The device runs one stack of layers; merges are not supported.",
        )

    def _part(self, node: Any, value: Value, scale: Float32, shift: Float32) -> Value:
        return self._then(node, value, Affine(np.diag(scale), shift, part=True))

    def _vector(self, node: Any, value: Value) -> tuple[Float32, bool]:
        """A constant for every feature, and whether it is the first operand."""
        if sum(name in self._values for name in node.input) > 1:
            raise CheckpointError(
                f"a {node.op_type} node joins two branches of the model",
                "The device runs one stack of layers; merges are not supported.",
            )
        position = 0 if node.input[1] in self._values else 1
        found = self._constants.weights(node.input[position])
        if value.size is None or found.size not in (1, value.size) or not value.reads_features:
            raise CheckpointError(
                f"a {node.op_type} node changes every step otherwise", EXPORT_AGAIN
            )
        if found.size > 1 and found.shape[-1] != found.size:
            raise CheckpointError(f"a {node.op_type} node works across steps", EXPORT_AGAIN)
        return np.broadcast_to(found.reshape(-1), (value.size,)).astype(np.float32), position == 0

    def _batch_norm(self, node: Any, value: Value) -> Value:
        scale, shift, mean, variance = (self._constants.weights(name) for name in node.input[1:5])
        channel = axes.place(value.layout, 1)  # of ONNX's operator, whatever the tensor is
        if (value.layout or ())[channel] != "feature":
            raise CheckpointError("a BatchNormalization works across steps", EXPORT_AGAIN)
        factor = scale / np.sqrt(variance + _attributes(node).get("epsilon", 1e-5))
        return self._part(node, value, factor, shift - mean * factor)

    def _softmax(self, node: Any, value: Value) -> Value:
        """Over the classes of a classifier, or over the steps, as weights of them."""
        axis = _attributes(node).get("axis", -1)
        layout = value.layout
        if value.has_lstm and layout and layout[axes.place(layout, axis)] == "time":
            if value.size != 1:
                raise CheckpointError("every feature weighs the steps by itself", EXPORT_AGAIN)
            return value._replace(weigher=value.track)
        if layout is not None and layout[axes.place(layout, axis)] != "feature":
            raise CheckpointError("a Softmax stands over what are no classes", EXPORT_AGAIN)
        return self._then(node, value, Plain("softmax"))

    def _gather(self, node: Any, value: Value) -> Value:
        index = self._constants.get(node.input[1])
        axis = axes.place(value.layout, _attributes(node).get("axis", 0))
        if index is None or index.size != 1 or node.input[0] not in self._values:
            raise CheckpointError("a Gather node takes several steps", EXPORT_AGAIN)
        after = self._take(node, value, axis, int(index.reshape(-1)[0]))
        cut = axes.without if index.ndim == 0 else axes.shrunk
        return after._replace(layout=cut(after.layout, axis))

    def _slice(self, node: Any, value: Value) -> Value:
        found = _attributes(node)
        starts, ends, along, strides = (
            found.get(name, self._numbers(node, position))
            for position, name in enumerate(("starts", "ends", "axes", "steps"), start=1)
        )
        if starts is None or ends is None or any(one != 1 for one in strides or ()):
            raise CheckpointError("a Slice node takes what depends on the input", EXPORT_AGAIN)
        for axis, start, end in zip(along or range(len(starts)), starts, ends, strict=True):
            if start == 0 and end >= 2**31 - 1:
                continue
            where = axes.place(value.layout, axis)
            if start != -1 and end != start + 1:
                raise CheckpointError("a Slice node takes several steps", EXPORT_AGAIN)
            value = self._take(node, value, where, start)
            value = value._replace(layout=axes.shrunk(value.layout, where))
        return value

    def _take(self, node: Any, value: Value, axis: int, index: int) -> Value:
        """One of what lies along an axis: the last step, the last layer, the only direction."""
        kind = (value.layout or ())[axis]
        if kind == "time" and index == -1 and value.has_lstm and not value.weighed:
            return self._then(node, value, Pool("last"))
        if (kind in ("one", "batch") and index == 0) or (kind in ("one", "layers") and index == -1):
            return value
        if kind == "layers" and index == len(self._layers_joined(value)) - 1:
            return value
        raise CheckpointError(f"a {node.op_type} node does not take the last step", EXPORT_AGAIN)

    def _layers_joined(self, value: Value) -> list[Step]:
        return [step for step in value.track if isinstance(step.form, Lstm)]

    def _join(self, node: Any, value: Value) -> Value:
        """The last states of all layers side by side, of which the last layer's is taken next."""
        found = [self._values.get(name) for name in node.input]
        states = [one for one in found if one and one.layout in (axes.STATE, ("one", "feature"))]
        axis = axes.place(value.layout, _attributes(node)["axis"])
        layers = [len(self._layers_joined(one)) for one in states]
        if len(states) != len(found) or axis != 0 or layers != list(range(1, len(found) + 1)):
            raise CheckpointError("the model joins different tensors", EXPORT_AGAIN)
        last = states[-1]
        return last._replace(layout=("layers", *(last.layout or ())[1:]))

    def _mean(self, node: Any, value: Value) -> Value:
        self._over(node, value, "time")
        if not value.has_lstm:
            raise CheckpointError("a ReduceMean stands before the LSTM", EXPORT_AGAIN)
        return self._reduced(node, self._then(node, value, Pool("mean")))

    def _weighed_sum(self, node: Any, value: Value) -> Value:
        self._over(node, value, "time")
        if value.weigher is None or not value.weighed:
            raise CheckpointError("a ReduceSum adds steps up without weights", EXPORT_AGAIN)
        self.weighers.append(value.weigher)
        after = self._then(node, value, Pool("attention"))
        return self._reduced(node, after)._replace(weigher=None, weighed=False)

    def _length(self, node: Any, value: Value) -> Value:
        self._over(node, value, "feature")
        return value._replace(is_length=True)

    def _over(self, node: Any, value: Value, kind: axes.Axis) -> None:
        along = self._axes(node) or []
        found = [(value.layout or ())[axes.place(value.layout, axis)] for axis in along]
        if found != [kind]:
            raise CheckpointError(f"a {node.op_type} node does not work over {kind}s", EXPORT_AGAIN)

    def _reduced(self, node: Any, value: Value) -> Value:
        (axis,) = self._axes(node) or [0]
        cut = axes.shrunk if _attributes(node).get("keepdims", 1) else axes.without
        return value._replace(layout=cut(value.layout, axis))

    def _transpose(self, node: Any, value: Value) -> Value:
        return value._replace(layout=axes.permute(value.layout, _attributes(node).get("perm")))

    def _reshape(self, node: Any, value: Value) -> Value:
        if node.op_type == "Flatten":
            rank: int | None = 2
        else:
            shape = self._constants.get(node.input[1])
            rank = None if shape is None else shape.size
        return value._replace(layout=axes.reshape(value.layout, rank))

    def _axes(self, node: Any) -> list[int] | None:
        given = _attributes(node).get("axes")
        return list(given) if given is not None else self._numbers(node, 1)

    def _numbers(self, node: Any, position: int) -> list[int] | None:
        name = node.input[position] if len(node.input) > position else ""
        found = self._constants.get(name)
        return None if found is None else [int(one) for one in found.reshape(-1)]

    def _is_start(self, name: str) -> bool:
        """Whether a state is zero, or is given from outside, where the device starts at zero."""
        if name in self._free:
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


def _attributes(node: Any) -> dict[str, Any]:
    return {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}


def _matrix(weights: Float32) -> Float32:
    if weights.ndim != 2:
        raise CheckpointError("a dense layer's weights are no matrix", EXPORT_AGAIN)
    return weights
