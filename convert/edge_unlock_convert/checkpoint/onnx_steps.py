"""ONNX nodes that take or pool steps, or turn axes around."""

from collections.abc import Callable, Mapping
from typing import Any

from edge_unlock_convert.checkpoint import onnx_axes as axes
from edge_unlock_convert.checkpoint.onnx_constants import Constants
from edge_unlock_convert.checkpoint.onnx_nodes import EXPORT_AGAIN, Nodes, Value, attributes
from edge_unlock_convert.checkpoint.step import Lstm, Plain, Pool, Step, Track
from edge_unlock_convert.errors import CheckpointError

PRODUCT = "MatMul of two tensors"
"""No operator of ONNX: a MatMul whose operands both depend on the input."""


class Steps(Nodes):
    """Handlers of what says which steps, and how they become one."""

    def __init__(self, constants: Constants, values: Mapping[str, Value]) -> None:
        super().__init__(constants, values)
        self.weighers: list[Track] = []
        """Tracks that weigh the steps inside of the graph."""

    @property
    def handlers(self) -> dict[str, Callable[[Any, Value], Value]]:
        """By operator."""
        return {
            "Softmax": self._softmax,
            "Gather": self._gather,
            "Slice": self._slice,
            "Concat": self._join,
            "ReduceMean": self._mean,
            "ReduceSum": self._weighed_sum,
            PRODUCT: self._weighed_product,
            "ReduceL2": self._length,
            "Transpose": self._transpose,
            "Squeeze": lambda node, value: value._replace(
                layout=axes.squeeze(value.layout, self.axes_of(node), value.size)
            ),
            "Unsqueeze": lambda node, value: value._replace(
                layout=axes.unsqueeze(value.layout, self.axes_of(node) or [])
            ),
            "Reshape": self._reshape,
            "Flatten": self._reshape,
        }

    def _softmax(self, node: Any, value: Value) -> Value:
        """Over the classes of a classifier, or over the steps, as weights of them."""
        axis = attributes(node).get("axis", -1)
        layout = value.layout
        if value.has_lstm and layout and layout[axes.place(layout, axis)] == "time":
            if value.size != 1:
                raise CheckpointError("every feature weighs the steps by itself", EXPORT_AGAIN)
            return value._replace(weigher=value.track)
        if layout is not None and layout[axes.place(layout, axis)] != "feature":
            raise CheckpointError("a Softmax stands over what are no classes", EXPORT_AGAIN)
        return self.then(node, value, Plain("softmax"))

    def _gather(self, node: Any, value: Value) -> Value:
        if node.input[0] not in self.values:
            raise CheckpointError(
                "the network looks its inputs up in a table, as those that read text do",
                "Only networks on features of speech can be converted.",
            )
        index = self.constants.get(node.input[1])
        axis = axes.place(value.layout, attributes(node).get("axis", 0))
        if index is None or index.size != 1:
            raise CheckpointError("a Gather node takes several steps", EXPORT_AGAIN)
        after = self._take(node, value, axis, int(index.reshape(-1)[0]))
        cut = axes.without if index.ndim == 0 else axes.shrunk
        return after._replace(layout=cut(after.layout, axis))

    def _slice(self, node: Any, value: Value) -> Value:
        found = attributes(node)
        starts, ends, along, strides = (
            found.get(name, self.numbers(node, position))
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
            return self.then(node, value, Pool("last"))
        if (kind in ("one", "batch") and index == 0) or (kind in ("one", "layers") and index == -1):
            return value
        if kind == "layers" and index == len(self._layers_joined(value)) - 1:
            return value
        raise CheckpointError(f"a {node.op_type} node does not take the last step", EXPORT_AGAIN)

    def _layers_joined(self, value: Value) -> list[Step]:
        return [step for step in value.track if isinstance(step.form, Lstm)]

    def _join(self, node: Any, value: Value) -> Value:
        """The last states of all layers side by side, of which the last layer's is taken next."""
        found = [self.values.get(name) for name in node.input]
        states = [one for one in found if one and one.layout in (axes.STATE, ("one", "feature"))]
        axis = axes.place(value.layout, attributes(node)["axis"])
        layers = [len(self._layers_joined(one)) for one in states]
        if len(states) != len(found) or axis != 0 or layers != list(range(1, len(found) + 1)):
            raise CheckpointError("the model joins different tensors", EXPORT_AGAIN)
        last = states[-1]
        return last._replace(layout=("layers", *(last.layout or ())[1:]))

    def _mean(self, node: Any, value: Value) -> Value:
        self._over(node, value, "time")
        if not value.has_lstm:
            raise CheckpointError("a ReduceMean stands before the LSTM", EXPORT_AGAIN)
        return self._reduced(node, self.then(node, value, Pool("mean")))

    def _weighed_sum(self, node: Any, value: Value) -> Value:
        self._over(node, value, "time")
        if value.weigher is None or not value.weighed:
            raise CheckpointError("a ReduceSum adds steps up without weights", EXPORT_AGAIN)
        self.weighers.append(value.weigher)
        after = self.then(node, value, Pool("attention"))
        return self._reduced(node, after)._replace(weigher=None, weighed=False)

    def _weighed_product(self, node: Any, _: Value) -> Value:
        """The sum of weighed steps, written as a product of matrices in either order."""
        first, second = (self.values[name] for name in node.input)
        turned = axes.permute(first.layout, [0, 2, 1]) if len(first.layout or ()) == 3 else None
        layout: axes.Layout
        if first.weigher is not None:
            weights, steps, layout = first, second, ("batch", "one", "feature")
            fit = axes.weigh(turned, second.layout)
        else:
            weights, steps, layout = second, first, ("batch", "feature", "one")
            fit = axes.weigh(second.layout, turned)
        if weights.weigher is None or weights.weighed or steps.weigher is not None or not fit:
            raise CheckpointError(
                "a MatMul node joins two branches of the model",
                "The device runs one stack of layers; merges are not supported.",
            )
        self.weighers.append(weights.weigher)
        return self.then(node, steps, Pool("attention"))._replace(layout=layout)

    def _length(self, node: Any, value: Value) -> Value:
        self._over(node, value, "feature")
        return value._replace(is_length=True)

    def _over(self, node: Any, value: Value, kind: axes.Axis) -> None:
        along = self.axes_of(node) or []
        found = [(value.layout or ())[axes.place(value.layout, axis)] for axis in along]
        if found != [kind]:
            raise CheckpointError(f"a {node.op_type} node does not work over {kind}s", EXPORT_AGAIN)

    def _reduced(self, node: Any, value: Value) -> Value:
        (axis,) = self.axes_of(node) or [0]
        cut = axes.shrunk if attributes(node).get("keepdims", 1) else axes.without
        return value._replace(layout=cut(value.layout, axis))

    def _transpose(self, node: Any, value: Value) -> Value:
        return value._replace(layout=axes.permute(value.layout, attributes(node).get("perm")))

    def _reshape(self, node: Any, value: Value) -> Value:
        if node.op_type == "Flatten":
            rank: int | None = 2
        else:
            shape = self.constants.get(node.input[1])
            rank = None if shape is None else shape.size
        return value._replace(layout=axes.reshape(value.layout, rank))
