"""Reads a TFLite flatbuffer: what is in it, and whether it is what was asked for.

The bytes are parsed with the ``tflite`` package (the generated classes of the public schema),
so that neither TensorFlow nor a runtime is needed, and nothing is run.
"""

import struct
from collections import Counter
from typing import Any, NamedTuple

import tflite

from edge_unlock_convert.errors import ConversionError

LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
CELL_STATE_INPUT = 19
"""Position of the cell state among the inputs of the LSTM operator (TFLite's lstm_shared.h)."""
FINEST_CELL_SCALE = 2.0**-15
"""The integer kernel takes tanh of a cell state in [-1, 1) or wider (0 to 6 integer bits,
``ApplyTanh`` in TFLite's kernel_utils); with a finer scale it silently computes nonsense."""
COARSEST_CELL_SCALE = 2.0**-9
"""Six integer bits, likewise; a cell beyond 64 stays there, where its tanh is 1 for long."""
DENSE = "FULLY_CONNECTED"
FUSED_OPERATORS = {LSTM, DENSE}
UNFUSED_OPERATORS = {DENSE, "SPLIT", "ADD", "MUL", "LOGISTIC", "TANH", "RELU"}
TYPE_NAMES = {
    value: name.lower() for name, value in vars(tflite.TensorType).items() if name.isupper()
}
OPERATOR_NAMES = {
    value: name for name, value in vars(tflite.BuiltinOperator).items() if name.isupper()
}
IDENTIFIER = b"TFL3"


class Tensor(NamedTuple):
    """One tensor: its place in the graph, and the bytes that it holds in the file."""

    number: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    stored_bytes: int


class Operator(NamedTuple):
    """One operator: tensor indices, -1 where an optional input is absent."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...]


class Graph(NamedTuple):
    """The only subgraph of a model file."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    size_bytes: int

    @property
    def lstm_operators(self) -> tuple[Operator, ...]:
        """The fused LSTM operators in the order in which they run."""
        return tuple(operator for operator in self.operators if operator.name == LSTM)

    @property
    def width(self) -> int:
        """Numbers in one input step."""
        return self.tensors[self.inputs[0]].shape[-1]

    @property
    def states(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Inputs and outputs, in pairs, by which the state is carried over; none of a fused LSTM.

        They are the inputs behind the first, and the last outputs, as many as there are of those.
        """
        count = max(0, min(len(self.inputs) - 1, len(self.outputs)))
        before, after = self.inputs[1:], self.outputs[len(self.outputs) - count :]
        return tuple(
            (self.tensors[a], self.tensors[b]) for a, b in zip(before, after, strict=False)
        )

    @property
    def has_logit(self) -> bool:
        """Whether it gives, beside the embedding, the logit of attention."""
        return len(self.outputs) - len(self.states) > 1

    @property
    def operator_counts(self) -> dict[str, int]:
        """How often each operator occurs."""
        return dict(Counter(operator.name for operator in self.operators))

    @property
    def tensor_types(self) -> dict[str, int]:
        """How many tensors of each type there are."""
        return dict(Counter(tensor.dtype for tensor in self.tensors))

    @property
    def macs(self) -> int:
        """Multiplications of one step: one for each stored weight of a matrix."""
        weights = {
            index
            for operator in self.operators
            for index in operator.inputs
            if index >= 0
            and len(self.tensors[index].shape) == 2
            and self.tensors[index].stored_bytes
        }
        states = {index for one in self.lstm_operators for index in one.inputs[18:20]}
        return sum(_size(self.tensors[index].shape) for index in weights - states)


def read(model: bytes) -> Graph:
    """Parse a model file; ``ConversionError`` when it is none or has several subgraphs."""
    try:
        if model[4:8] != IDENTIFIER:
            raise ValueError("it does not start as one")
        root = tflite.Model.GetRootAs(model)
        if root.SubgraphsLength() != 1:
            raise ValueError(f"it has {root.SubgraphsLength()} subgraphs")
        graph = root.Subgraphs(0)
        codes = [root.OperatorCodes(number) for number in range(root.OperatorCodesLength())]
        return Graph(
            tuple(_tensor(root, graph, number) for number in range(graph.TensorsLength())),
            tuple(
                _operator(codes, graph.Operators(number))
                for number in range(graph.OperatorsLength())
            ),
            _indices(graph.InputsAsNumpy()),
            _indices(graph.OutputsAsNumpy()),
            len(model),
        )
    except (ValueError, IndexError, TypeError, AttributeError, struct.error) as error:
        raise ConversionError(f"this is no TFLite model: {error}", "Convert it again.") from error


def check(graph: Graph, lstm_layers: int, scheme: str) -> None:
    """Whether the converter made what was asked for; ``ConversionError`` says what it did not.

    With ``int8``: one fused LSTM operator a layer, 8-bit inputs and outputs, a 16-bit cell state,
    and no float tensor but the LSTM's intermediates, which are empty and carry scales only. With
    the others: a hidden and a cell state a layer, carried over in the same shape; with ``dynamic``
    no matrix but of int8. Always only operators that the device is known to run.
    """
    if scheme == "int8":
        problems, operators = _integer_problems(graph, lstm_layers), FUSED_OPERATORS
    else:
        problems, operators = _state_problems(graph, lstm_layers), UNFUSED_OPERATORS
    if strange := set(graph.operator_counts) - operators:
        problems.append(f"operators {', '.join(sorted(strange))}")
    if scheme == "dynamic":
        weights = [graph.tensors[one.inputs[1]] for one in graph.operators if one.name == DENSE]
        problems += [
            f"weights {one.name!r} of type {one.dtype}" for one in weights if one.dtype != "int8"
        ]
    if problems:
        raise ConversionError(
            f"the converted model has {'; '.join(problems)}",
            "This is a fault of the converter.",
        )


def _state_problems(graph: Graph, lstm_layers: int) -> list[str]:
    problems = [
        f"a state {before.name!r} of shape {before.shape} before a step and {after.shape} after it"
        for before, after in graph.states
        if before.shape != after.shape
    ]
    if len(graph.states) != 2 * lstm_layers:
        problems.append(f"{len(graph.states)} states for {lstm_layers} layers")
    return problems


def _integer_problems(graph: Graph, lstm_layers: int) -> list[str]:
    problems = [
        f"{kind} {graph.tensors[index].name!r} of type {graph.tensors[index].dtype}"
        for kind, indices in (("input", graph.inputs), ("output", graph.outputs))
        for index in indices
        if graph.tensors[index].dtype != "int8"
    ]
    if len(graph.lstm_operators) != lstm_layers:
        problems.append(
            f"{len(graph.lstm_operators)} fused LSTM operators for {lstm_layers} layers"
        )
    for operator in graph.lstm_operators:
        cell = graph.tensors[operator.inputs[CELL_STATE_INPUT]]
        if cell.dtype != "int16":
            problems.append(f"a cell state of type {cell.dtype}")
    declared = {index for operator in graph.operators for index in operator.intermediates}
    problems += [
        f"a float tensor {tensor.name!r}"
        for tensor in graph.tensors
        if tensor.dtype.startswith("float")
        and not (tensor.number in declared and not tensor.stored_bytes and _size(tensor.shape) == 0)
    ]
    return problems


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size


def _tensor(root: tflite.Model, graph: tflite.SubGraph, index: int) -> Tensor:
    tensor = graph.Tensors(index)
    return Tensor(
        index,
        (tensor.Name() or b"").decode(errors="replace"),
        _indices(tensor.ShapeAsNumpy()),
        TYPE_NAMES.get(tensor.Type(), "unknown"),
        root.Buffers(tensor.Buffer()).DataLength(),
    )


def _operator(codes: list[tflite.OperatorCode], operator: tflite.Operator) -> Operator:
    code = codes[operator.OpcodeIndex()]
    # files of before 2021 keep the code in the deprecated field
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    return Operator(
        OPERATOR_NAMES.get(number, f"operator {number}"),
        _indices(operator.InputsAsNumpy()),
        _indices(operator.OutputsAsNumpy()),
        _indices(operator.IntermediatesAsNumpy()),
    )


def _indices(array: Any) -> tuple[int, ...]:
    """A vector of the flatbuffer; an absent one reads as the number 0."""
    return tuple(map(int, array)) if hasattr(array, "__len__") else ()
