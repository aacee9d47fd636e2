"""ONNX models with LSTM nodes, as PyTorch and others export them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.checkpoint.options import Options
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.network import GATES, Dense, LstmLayer, Network, Pooling

GATE_ORDER = (0, 2, 3, 1)
"""Places of i, f, g, o in ONNX's order i, o, f, c (operator LSTM of the ONNX specification)."""
SHAPE_OPERATORS = ("Identity", "Transpose", "Squeeze", "Unsqueeze", "Reshape", "Flatten",
                   "Cast", "Dropout")  # fmt: skip
"""Move numbers around; a step's vector stays what it is."""
LENGTH_OPERATORS = ("ReduceL2", "Clip", "Expand", "Max", "Sqrt", "Add", *SHAPE_OPERATORS)
"""How exporters write the length that an embedding is divided by."""
EXPORT_AGAIN = "Export the network alone: an LSTM stack, dense layers, and nothing else."


class _State(NamedTuple):
    """What a tensor is: the output of the LSTM stack so far, or of dense layers on it."""

    layers: tuple[LstmLayer, ...] = ()
    dense: tuple[Dense, ...] = ()
    pooling: Pooling | None = None
    is_length: bool = False


def read(path: Path, options: Options) -> Network:
    """Read an ONNX model. Raises ``CheckpointError`` for everything that is no LSTM stack."""
    graph = _Graph(_load(path).graph)
    ends = graph.walk()
    graph.check_all_used(options)
    deepest = max((len(end.layers) for end in ends), default=0)
    ends = [end for end in ends if len(end.layers) == deepest and not end.is_length]
    if any(end.dense for end in ends):  # exporters also give the LSTM's own states
        ends = [end for end in ends if end.dense]
    if not deepest or not ends:
        raise CheckpointError("the model has no LSTM node", "Only LSTM encoders can be converted.")
    single = [end for end in ends if end.dense and len(end.dense[-1].bias) == 1]
    attention = single[0] if len(ends) > 1 and single else None
    main = [end for end in ends if end is not attention]
    if any(_same(end, main[0]) is False for end in main[1:]):
        raise CheckpointError(
            f"the model has {len(ends)} different outputs",
            "It gives an embedding, and maybe one more number a step that weighs it.",
        )
    weigher = None if attention is None else attention.dense[0]
    # of equal outputs the one that says how the steps become one
    chosen = next((end for end in main if end.pooling), main[0])
    return Network(chosen.layers, chosen.dense, weigher, chosen.pooling)


def _same(one: _State, other: _State) -> bool:
    return all(a is b for a, b in zip(one.dense, other.dense, strict=False)) and len(
        one.dense
    ) == len(other.dense)


def _load(path: Path) -> Any:
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged or no ONNX model", "It may be cut short: copy it again."
        ) from error
    folder = path.parent.resolve()
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                file = (folder / entry.value).resolve()
                if not file.is_relative_to(folder) or not file.is_file():
                    raise CheckpointError(
                        f"{path} keeps its weights in {entry.value!r}, which is not beside it",
                        "Weights are read from the folder of the model only.",
                    )
    try:
        onnx.external_data_helper.load_external_data_for_model(model, str(folder))
    except (onnx.checker.ValidationError, OSError, ValueError) as error:
        raise CheckpointError(
            f"the weights beside {path} cannot be read", "Copy the model again."
        ) from error
    return model


class _Graph:
    """Walks the nodes once, in the order that ONNX prescribes, and follows what the LSTM gives."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._constants: dict[str, Any] = {
            one.name: numpy_helper.to_array(one) for one in graph.initializer
        }
        for node in graph.node:
            if node.op_type == "Constant":
                self._constants[node.output[0]] = _constant(node)
        self._producers = {name: node for node in graph.node for name in node.output if name}
        inputs = [one.name for one in graph.input if one.name not in self._constants]
        self._states: dict[str, _State] = {name: _State() for name in inputs[:1]}
        self._used: set[str] = set()
        self._handlers: dict[str, Callable[[Any, _State], _State]] = {
            "MatMul": self._matmul,
            "Gemm": self._gemm,
            "Add": self._add,
            "Relu": self._relu,
            "Gather": self._last,
            "Slice": self._last,
            "Concat": self._join,
            "ReduceMean": self._mean,
            "Div": self._unit,
            "LpNormalization": lambda _, state: state,
            "ReduceL2": lambda _, state: state._replace(is_length=True),
        }

    def walk(self) -> list[_State]:
        """The states of the outputs that come from the input."""
        for node in self._graph.node:
            source = next((name for name in node.input if name in self._states), None)
            if source is None or node.op_type in ("Shape", "ConstantOfShape"):
                continue
            state = self._states[source]
            if node.op_type == "LSTM":
                self._lstm(node, state)
                continue
            if (
                state.is_length and node.op_type in LENGTH_OPERATORS
            ) or node.op_type in SHAPE_OPERATORS:
                after = state
            elif node.op_type in self._handlers:
                after = self._handlers[node.op_type](node, state)
            else:
                raise CheckpointError(
                    f"the model has a {node.op_type} node, which the device cannot compute",
                    EXPORT_AGAIN,
                )
            self._states[node.output[0]] = after
        return [self._states[one.name] for one in self._graph.output if one.name in self._states]

    def check_all_used(self, options: Options) -> None:
        """Refuse weights that nothing was made of."""
        left = [
            one.name
            for one in self._graph.initializer
            if one.name not in self._used | set(options.drop)
            and self._constants[one.name].dtype.kind == "f"
            and np.any(self._constants[one.name])
            and self._constants[one.name].size > 1
        ]
        if left:
            raise CheckpointError(
                f"the model holds weights that no layer uses: {', '.join(left)}",
                "If the network does not need them, name each with --drop.",
            )

    def _lstm(self, node: Any, state: _State) -> None:
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        if state.dense or state.pooling:
            raise CheckpointError("an LSTM follows a dense layer or a pooling", EXPORT_AGAIN)
        _check_attributes(attributes)
        names = [*node.input, *[""] * (8 - len(node.input))]
        if any(name and not self._is_zero(name) for name in names[5:7]) or names[7]:
            raise CheckpointError(
                "an LSTM node has an initial state or peepholes",
                "The device starts every utterance from zero, and has no peepholes.",
            )
        inputs, recurrent = (self._weights(name)[0] for name in names[1:3])
        rows = len(inputs)
        bias = np.zeros(rows, np.float32)
        if names[3]:
            both = self._weights(names[3])[0]
            bias = both[:rows] + both[rows:]
        layer = LstmLayer(_gates(inputs), _gates(recurrent), _gates(bias))
        after = _State((*state.layers, layer))
        for position, name in enumerate(node.output):
            if name and position < 2:  # all hidden states, the last one
                self._states[name] = after._replace(pooling="last" if position else None)

    def _matmul(self, node: Any, state: _State) -> _State:
        if node.input[0] not in self._states or not state.layers:
            raise CheckpointError("a matrix product stands before the LSTM", EXPORT_AGAIN)
        weights = self._weights(node.input[1]).T.copy()
        return self._append(state, Dense(weights, np.zeros(len(weights), np.float32)))

    def _gemm(self, node: Any, state: _State) -> _State:
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        if attributes.get("transA") or any(
            attributes.get(k, 1.0) != 1.0 for k in ("alpha", "beta")
        ):
            raise CheckpointError("a dense layer is scaled or transposed", EXPORT_AGAIN)
        weights = self._weights(node.input[1])
        weights = weights if attributes.get("transB") else weights.T.copy()
        bias = np.zeros(len(weights), np.float32)
        if len(node.input) > 2:
            bias = bias + self._weights(node.input[2])
        return self._append(state, Dense(weights, bias))

    def _add(self, node: Any, state: _State) -> _State:
        constant = next((name for name in node.input if name in self._constants), None)
        if constant is None or not state.dense or state.dense[-1].activation != "linear":
            raise CheckpointError("the model adds what is no bias of a dense layer", EXPORT_AGAIN)
        last = state.dense[-1]
        with_bias = Dense(last.weights, last.bias + self._weights(constant))
        return state._replace(dense=(*state.dense[:-1], with_bias))

    def _relu(self, _: Any, state: _State) -> _State:
        if not state.dense or state.pooling == "mean":
            raise CheckpointError("a Relu follows no dense layer of a step", EXPORT_AGAIN)
        last = state.dense[-1]
        return state._replace(dense=(*state.dense[:-1], Dense(last.weights, last.bias, "relu")))

    def _append(self, state: _State, dense: Dense) -> _State:
        return state._replace(dense=(*state.dense, dense))

    def _last(self, node: Any, state: _State) -> _State:
        """Gather and Slice take the last step (index -1), or the only direction (index 0)."""
        position = 1  # of the index of Gather, and of the start of Slice
        start = self._constants.get(node.input[position])
        if not state.layers or start is None or not np.all(np.isin(start, (-1, 0))):
            raise CheckpointError(
                f"a {node.op_type} node does not take the last step", EXPORT_AGAIN
            )
        if np.all(start == -1):
            return state._replace(pooling="last")
        if state.pooling != "last":
            raise CheckpointError("the model takes its first step", EXPORT_AGAIN)
        return state

    def _join(self, node: Any, _: _State) -> _State:
        """The last states of all layers side by side, of which the last layer's is taken next."""
        states = [self._states.get(name) for name in node.input]
        if any(state is None or state.pooling != "last" or state.dense for state in states):
            raise CheckpointError("the model joins different tensors", EXPORT_AGAIN)
        return self._states[node.input[-1]]._replace(pooling=None)

    def _mean(self, _: Any, state: _State) -> _State:
        if not state.layers or state.pooling:
            raise CheckpointError("a ReduceMean stands where there are no steps", EXPORT_AGAIN)
        return state._replace(pooling="mean")

    def _unit(self, node: Any, state: _State) -> _State:
        """Division by the embedding's own length, which the device does itself."""
        divisor = self._states.get(node.input[1])
        if divisor is None or not divisor.is_length or not state.pooling:
            raise CheckpointError("the model divides by something else than a length", EXPORT_AGAIN)
        return self._states[node.input[0]]

    def _weights(self, name: str) -> Float32:
        if name not in self._constants:
            raise CheckpointError(
                f"the weights {name!r} are computed by the graph",
                "Export it with constants folded.",
            )
        self._used.add(name)
        weights: Float32 = np.asarray(self._constants[name], np.float32)
        return weights

    def _is_zero(self, name: str) -> bool:
        """Whether everything that a tensor is made of is zero, but for shapes."""
        if name in self._constants:
            values = self._constants[name]
            return values.dtype.kind != "f" or not np.any(values)
        node = self._producers.get(name)
        if node is None:
            return False
        if node.op_type == "ConstantOfShape":
            return not np.any(_constant(node))
        if node.op_type == "Shape":
            return True
        return all(self._is_zero(one) for one in node.input if one)


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


def _constant(node: Any) -> Any:
    """The value of a Constant or ConstantOfShape node."""
    for one in node.attribute:
        value = onnx.helper.get_attribute_value(one)
        return numpy_helper.to_array(value) if one.name == "value" else np.asarray(value)
    return np.zeros(1, np.float32)


def _gates(stacked: Float32) -> Float32:
    if len(stacked) % GATES:
        raise CheckpointError("an LSTM node has no four gates", "The file is malformed.")
    blocks = np.split(stacked, GATES)
    return np.concatenate([blocks[place] for place in GATE_ORDER])
