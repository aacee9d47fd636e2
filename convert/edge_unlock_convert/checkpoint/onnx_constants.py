"""The constants of an ONNX graph: its initializers, and what the graph computes of them alone.

PyTorch's exporter writes the gates of an LSTM as slices of one matrix, put together anew. Such
nodes are computed here by ONNX's own reference implementation.
"""

from itertools import zip_longest
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.errors import CheckpointError

FOLDABLE = frozenset(
    ("Add", "Cast", "Concat", "Div", "Flatten", "Gather", "Identity", "Mul", "Neg", "Reshape",
     "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze")
)  # fmt: skip
"""Operators that move numbers or combine them; none makes much out of little."""
MAX_ELEMENTS = 2**26
"""Of one folded constant; shapes that broadcast may claim more."""


class Constants:
    """Values by name, with the initializers that each was made of."""

    def __init__(self, model: Any) -> None:
        self._values: dict[str, NDArray[Any]] = {}
        self._origins: dict[str, frozenset[str]] = {}
        self._opsets = list(model.opset_import)
        self._ir_version = model.ir_version
        self.used: set[str] = set()
        """Initializers that a layer was made of."""
        for one in model.graph.initializer:
            self._values[one.name] = _array(one)
            self._origins[one.name] = frozenset((one.name,))
        for node in model.graph.node:
            if node.op_type == "Constant":
                self._values[node.output[0]] = constant(node)
                self._origins[node.output[0]] = frozenset(node.output)
            elif node.op_type in FOLDABLE and any(node.input) and self._known(node):
                self._fold(node)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get(self, name: str) -> NDArray[Any] | None:
        """The value, for what is no weight: an axis, an index, a shape."""
        return self._values.get(name)

    def origins(self, name: str) -> frozenset[str]:
        """The initializers that a constant was made of."""
        return self._origins.get(name, frozenset())

    def use(self, name: str) -> None:
        """Note that the constant became part of a layer."""
        self.used |= self.origins(name)

    def weights(self, name: str) -> Float32:
        """The value of a layer's weights. Raises ``CheckpointError`` if it is no constant."""
        if name not in self._values:
            raise CheckpointError(
                f"the weights {name!r} depend on the input of the model",
                "Export the network alone, in evaluation mode: model.eval().",
            )
        self.use(name)
        if self._values[name].dtype.kind in "biuc":
            raise CheckpointError(
                f"the weights {name!r} are {self._values[name].dtype} numbers, which are none of a "
                "float network",
                "Export the float network: quantizing twice loses twice.",
            )
        weights: Float32 = np.asarray(self._values[name], np.float32)
        return weights

    def _known(self, node: Any) -> bool:
        return all(name in self._values for name in node.input if name)

    def _fold(self, node: Any) -> None:
        inputs = {name: self._values[name] for name in node.input if name}
        if sum(value.size for value in inputs.values()) > MAX_ELEMENTS:
            return
        if node.op_type in ("Add", "Sub", "Mul", "Div"):
            # the largest that the operands can make together
            shapes = zip_longest(*(value.shape[::-1] for value in inputs.values()), fillvalue=1)
            if np.prod([max(sizes) for sizes in shapes], dtype=float) > MAX_ELEMENTS:
                return
        described = [
            onnx.helper.make_tensor_value_info(
                name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
            for name, value in inputs.items()
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
        graph = onnx.helper.make_graph([node], "constant", described, outputs)
        single = onnx.helper.make_model(
            graph, opset_imports=self._opsets, ir_version=self._ir_version
        )
        try:
            values = ReferenceEvaluator(single).run(None, inputs)
        except Exception as error:  # the reference fails on a malformed node in any way
            raise CheckpointError(
                f"the constants of the {node.op_type} node {node.name!r} do not fit together",
                "The file is malformed: export it again.",
            ) from error
        made = frozenset().union(*(self._origins[name] for name in inputs))
        for name, value in zip(node.output, values, strict=True):
            self._values[name] = np.asarray(value)
            self._origins[name] = made


def constant(node: Any) -> Any:
    """The value of a Constant or ConstantOfShape node."""
    for one in node.attribute:
        value = onnx.helper.get_attribute_value(one)
        return _array(value) if one.name == "value" else np.asarray(value)
    return np.zeros(1, np.float32)


def _array(tensor: Any) -> NDArray[Any]:
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise CheckpointError(
            f"a constant of the model is malformed: {error}", "Export the model again."
        ) from error
