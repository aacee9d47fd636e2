"""ONNX nodes that compute: dense layers, normalizations, and products of two tensors."""

from collections.abc import Callable
from typing import Any

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.checkpoint import onnx_axes as axes
from edge_unlock_convert.checkpoint.onnx_nodes import (
    EXPORT_AGAIN,
    WEIGHT_NAME,
    Nodes,
    Value,
    attributes,
    matrix,
)
from edge_unlock_convert.checkpoint.step import Affine, Plain, Step
from edge_unlock_convert.errors import CheckpointError


class Arithmetic(Nodes):
    """Handlers of what computes."""

    @property
    def handlers(self) -> dict[str, Callable[[Any, Value], Value]]:
        """By operator."""
        return {
            "MatMul": self._matmul,
            "Gemm": self._gemm,
            "Add": self._shift,
            "Sub": self._shift,
            "Mul": self._scale,
            "Div": self._scale,
            "BatchNormalization": self._batch_norm,
            "Relu": lambda node, value: self.then(node, value, Plain("relu")),
            "LpNormalization": lambda node, value: self.then(node, value, Plain("unit")),
        }

    def _matmul(self, node: Any, value: Value) -> Value:
        if node.input[0] not in self.values:
            raise CheckpointError("a matrix is multiplied from the left", EXPORT_AGAIN)
        weights = matrix(self.constants.weights(node.input[1])).T.copy()
        return self._dense(node, value, weights, np.zeros(len(weights), np.float32))

    def _gemm(self, node: Any, value: Value) -> Value:
        given = attributes(node)
        scaled = any(given.get(name, 1.0) != 1.0 for name in ("alpha", "beta"))
        if given.get("transA") or scaled or node.input[0] not in self.values:
            raise CheckpointError("a dense layer is scaled or transposed", EXPORT_AGAIN)
        weights = matrix(self.constants.weights(node.input[1]))
        weights = weights if given.get("transB") else weights.T.copy()
        bias = np.zeros(len(weights), np.float32)
        if len(node.input) > 2:
            bias = bias + self.constants.weights(node.input[2]).reshape(-1)
        return self._dense(node, value, weights, bias)

    def _dense(self, node: Any, value: Value, weights: Float32, bias: Float32) -> Value:
        if not value.reads_features:
            raise CheckpointError("a dense layer does not read a step", EXPORT_AGAIN)
        return self.then(node, value, Affine(weights, bias), len(weights))

    def _shift(self, node: Any, value: Value) -> Value:
        """Add and Sub of a constant: the bias of a dense layer, or a part of a normalization."""
        vector, first = self._vector(node, value)
        sign = -1 if node.op_type == "Sub" else 1
        if sign < 0 and first:
            return self._part(node, value, np.full_like(vector, -1), vector)
        last = value.track[-1] if value.track else None
        if last is not None and isinstance(last.form, Affine) and last.kind == "MatMul":
            name = self.name(node) if self._is_named(node) else last.name
            form = Affine(last.form.weights, last.form.bias + sign * vector)
            return value._replace(track=(*value.track[:-1], Step(name, "MatMul", form)))
        return self._part(node, value, np.ones_like(vector), sign * vector)

    def _is_named(self, node: Any) -> bool:
        origins = [one for name in node.input for one in self.constants.origins(name)]
        return any(WEIGHT_NAME.match(one) for one in origins)

    def _scale(self, node: Any, value: Value) -> Value:
        """Mul and Div: by a constant, by the embedding's own length, or by the steps' weights."""
        others = [self.values.get(name) for name in node.input]
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
            return self.then(node, one, Plain("unit"))
        if node.op_type == "Mul" and (one.weigher is None) != (other.weigher is None):
            weights, steps = (other, one) if one.weigher is None else (one, other)
            if weights.weighed or not axes.weigh(weights.layout, steps.layout):
                raise CheckpointError("the model weighs what are no steps", EXPORT_AGAIN)
            return steps._replace(weigher=weights.weigher, weighed=True)
        raise CheckpointError(
            f"a {node.op_type} node joins two branches of the model",
            "The device runs one stack of layers; merges are not supported.",
        )

    def _part(self, node: Any, value: Value, scale: Float32, shift: Float32) -> Value:
        return self.then(node, value, Affine(np.diag(scale), shift, part=True))

    def _vector(self, node: Any, value: Value) -> tuple[Float32, bool]:
        """A constant for every feature, and whether it is the first operand."""
        if sum(name in self.values for name in node.input) > 1:
            raise CheckpointError(
                f"a {node.op_type} node joins two branches of the model",
                "The device runs one stack of layers; merges are not supported.",
            )
        position = 0 if node.input[1] in self.values else 1
        found = self.constants.weights(node.input[position])
        if value.size is None or found.size not in (1, value.size) or not value.reads_features:
            raise CheckpointError(
                f"a {node.op_type} node changes every step otherwise", EXPORT_AGAIN
            )
        if found.size > 1 and found.shape[-1] != found.size:
            raise CheckpointError(f"a {node.op_type} node works across steps", EXPORT_AGAIN)
        return np.broadcast_to(found.reshape(-1), (value.size,)).astype(np.float32), position == 0

    def _batch_norm(self, node: Any, value: Value) -> Value:
        scale, shift, mean, variance = (self.constants.weights(name) for name in node.input[1:5])
        channel = axes.place(value.layout, 1)  # of ONNX's operator, whatever the tensor is
        if (value.layout or ())[channel] != "feature":
            raise CheckpointError("a BatchNormalization works across steps", EXPORT_AGAIN)
        factor = scale / np.sqrt(variance + attributes(node).get("epsilon", 1e-5))
        return self._part(node, value, factor, shift - mean * factor)
