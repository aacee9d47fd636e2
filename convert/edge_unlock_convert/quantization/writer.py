"""Writes a TFLite flatbuffer, tensor by tensor and operator by operator.

The bytes are laid out with the ``tflite`` package (the generated classes of the public schema),
as ``flatbuffer`` reads them. The same calls give the same bytes.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import flatbuffers
import numpy as np
import tflite
from numpy.typing import NDArray

from edge_unlock_convert.quantization.flatbuffer import IDENTIFIER

SCHEMA_VERSION = 3
DATA_ALIGNMENT = 16
"""Of the numbers of a tensor: the runtime computes with them where they lie in the file."""
LSTM, DENSE, SPLIT = (
    tflite.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM,
    tflite.BuiltinOperator.FULLY_CONNECTED,
    tflite.BuiltinOperator.SPLIT,
)
Elementwise = Literal["ADD", "MUL", "LOGISTIC", "TANH", "RELU"]
DENSE_VERSION, HYBRID_VERSION = 5, 9
"""The first that keeps the dimensions of its input, and the first that rounds float inputs
asymmetrically (TFLite's op_version.cc)."""
RUNTIME_METADATA = "min_runtime_version"
RUNTIME_BYTES = 16
"""The version is padded to so many bytes (TFLite's metadata)."""
TYPES = {
    np.dtype(np.float32): tflite.TensorType.FLOAT32,
    np.dtype(np.int32): tflite.TensorType.INT32,
    np.dtype(np.int16): tflite.TensorType.INT16,
    np.dtype(np.int8): tflite.TensorType.INT8,
}
ABSENT = -1
"""Stands for an optional input that an operator does not have."""


class Quantization(NamedTuple):
    """What the integers of a tensor stand for: ``scale * (integer - zero_point)``."""

    scale: float
    zero_point: int = 0


class _Operator(NamedTuple):
    code: int
    version: int
    inputs: Sequence[int]
    outputs: Sequence[int]
    intermediates: Sequence[int] = ()
    kind: int = tflite.BuiltinOptions.NONE
    options: Callable[[Any], int] | None = None
    """Writes the operator's options, if it has any, and gives their place."""


class Writer:
    """A model with one subgraph. Tensors are numbered as they are added; operators run so."""

    def __init__(self, runtime_version: str) -> None:
        self._builder = flatbuffers.Builder(1 << 20)
        self._runtime_version = runtime_version
        self._tensors: list[int] = []
        self._buffers = [self._buffer(None)]  # the first is the empty one, by convention
        self._operators: list[_Operator] = []

    def constant(
        self, name: str, values: NDArray[Any], quantization: Quantization | None = None
    ) -> int:
        """Add a tensor whose numbers are stored in the file; gives its number."""
        self._buffers.append(self._buffer(values))
        return self._tensor(name, values.shape, values.dtype, quantization, variable=False)

    def variable(
        self, name: str, shape: tuple[int, ...], dtype: Any, quantization: Quantization | None
    ) -> int:
        """Add a tensor that keeps its numbers from call to call; gives its number."""
        return self._tensor(name, shape, np.dtype(dtype), quantization, variable=True, buffer=0)

    def activation(
        self, name: str, shape: tuple[int, ...], dtype: Any, quantization: Quantization | None
    ) -> int:
        """Add a tensor that is computed, or the model's input; gives its number."""
        return self._tensor(name, shape, np.dtype(dtype), quantization, variable=False, buffer=0)

    def lstm(self, inputs: Sequence[int], output: int, intermediates: Sequence[int]) -> None:
        """Add a fused LSTM with tanh and without clipping; ``inputs`` are its 24 tensors."""

        def options(builder: Any) -> int:
            tflite.UnidirectionalSequenceLSTMOptionsStart(builder)
            tflite.UnidirectionalSequenceLSTMOptionsAddFusedActivationFunction(
                builder, tflite.ActivationFunctionType.TANH
            )
            return int(tflite.UnidirectionalSequenceLSTMOptionsEnd(builder))

        kind = tflite.BuiltinOptions.UnidirectionalSequenceLSTMOptions
        self._operators.append(_Operator(LSTM, 1, inputs, [output], intermediates, kind, options))

    def dense(
        self, inputs: Sequence[int], output: int, *, relu: bool = False, hybrid: bool = False
    ) -> None:
        """Add a dense layer on every step; ``inputs`` are the steps, the weights, the bias.

        A hybrid one has int8 weights, and rounds its float steps to int8, by the range of each.
        """

        def options(builder: Any) -> int:
            names = tflite.ActivationFunctionType
            tflite.FullyConnectedOptionsStart(builder)
            tflite.FullyConnectedOptionsAddFusedActivationFunction(
                builder, names.RELU if relu else names.NONE
            )
            tflite.FullyConnectedOptionsAddKeepNumDims(builder, True)
            tflite.FullyConnectedOptionsAddAsymmetricQuantizeInputs(builder, hybrid)
            return int(tflite.FullyConnectedOptionsEnd(builder))

        kind = tflite.BuiltinOptions.FullyConnectedOptions
        version = HYBRID_VERSION if hybrid else DENSE_VERSION
        self._operators.append(_Operator(DENSE, version, inputs, [output], (), kind, options))

    def split(self, axis: int, source: int, outputs: Sequence[int]) -> None:
        """Add the cut of a tensor into equal parts; ``axis`` is a tensor that names it."""

        def options(builder: Any) -> int:
            tflite.SplitOptionsStart(builder)
            tflite.SplitOptionsAddNumSplits(builder, len(outputs))
            return int(tflite.SplitOptionsEnd(builder))

        kind = tflite.BuiltinOptions.SplitOptions
        self._operators.append(_Operator(SPLIT, 1, [axis, source], outputs, (), kind, options))

    def elementwise(self, name: Elementwise, inputs: Sequence[int], output: int) -> None:
        """Add an operator on each number of one tensor, or on those of two in the same place."""
        code = getattr(tflite.BuiltinOperator, name)
        self._operators.append(_Operator(code, 1, inputs, [output]))

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file of the model with these tensors for inputs and outputs."""
        builder = self._builder
        codes = sorted({(operator.code, operator.version) for operator in self._operators})
        version = self._runtime_version.encode().ljust(RUNTIME_BYTES, b"\0")
        self._buffers.append(self._buffer(np.frombuffer(version, np.int8)))
        metadata_name = builder.CreateString(RUNTIME_METADATA)
        tflite.MetadataStart(builder)
        tflite.MetadataAddName(builder, metadata_name)
        tflite.MetadataAddBuffer(builder, len(self._buffers) - 1)
        metadata = self._vector([tflite.MetadataEnd(builder)])
        graph = self._vector([self._graph(codes, inputs, outputs)])
        code_vector = self._vector([self._code(*code) for code in codes])
        buffers = self._vector(self._buffers)
        description = builder.CreateString("edge-unlock")
        tflite.ModelStart(builder)
        tflite.ModelAddVersion(builder, SCHEMA_VERSION)
        tflite.ModelAddOperatorCodes(builder, code_vector)
        tflite.ModelAddSubgraphs(builder, graph)
        tflite.ModelAddDescription(builder, description)
        tflite.ModelAddBuffers(builder, buffers)
        tflite.ModelAddMetadata(builder, metadata)
        builder.Finish(tflite.ModelEnd(builder), file_identifier=IDENTIFIER)
        return bytes(builder.Output())

    def _buffer(self, values: NDArray[Any] | None) -> int:
        builder = self._builder
        data = None
        if values is not None:
            stored = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
            builder.StartVector(1, len(stored), DATA_ALIGNMENT)
            builder.head -= len(stored)
            builder.Bytes[builder.head : builder.head + len(stored)] = stored
            data = builder.EndVector()
        tflite.BufferStart(builder)
        if data is not None:
            tflite.BufferAddData(builder, data)
        return int(tflite.BufferEnd(builder))

    def _tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        quantization: Quantization | None,
        *,
        variable: bool,
        buffer: int | None = None,
    ) -> int:
        builder = self._builder
        label = builder.CreateString(name)
        extents = builder.CreateNumpyVector(np.array(shape, np.int32))
        quantized = None if quantization is None else self._quantization(quantization)
        tflite.TensorStart(builder)
        tflite.TensorAddName(builder, label)
        tflite.TensorAddShape(builder, extents)
        tflite.TensorAddHasRank(builder, True)
        tflite.TensorAddType(builder, TYPES[dtype])
        tflite.TensorAddBuffer(builder, len(self._buffers) - 1 if buffer is None else buffer)
        tflite.TensorAddIsVariable(builder, variable)
        if quantized is not None:
            tflite.TensorAddQuantization(builder, quantized)
        self._tensors.append(tflite.TensorEnd(builder))
        return len(self._tensors) - 1

    def _quantization(self, quantization: Quantization) -> int:
        builder = self._builder
        scale = builder.CreateNumpyVector(np.array([quantization.scale], np.float32))
        zero_point = builder.CreateNumpyVector(np.array([quantization.zero_point], np.int64))
        tflite.QuantizationParametersStart(builder)
        tflite.QuantizationParametersAddScale(builder, scale)
        tflite.QuantizationParametersAddZeroPoint(builder, zero_point)
        return int(tflite.QuantizationParametersEnd(builder))

    def _graph(
        self, codes: list[tuple[int, int]], inputs: Sequence[int], outputs: Sequence[int]
    ) -> int:
        builder = self._builder
        operators = self._vector([self._operator(codes, one) for one in self._operators])
        tensors = self._vector(self._tensors)
        taken, given = self._indices(inputs), self._indices(outputs)
        name = builder.CreateString("main")
        tflite.SubGraphStart(builder)
        tflite.SubGraphAddTensors(builder, tensors)
        tflite.SubGraphAddInputs(builder, taken)
        tflite.SubGraphAddOutputs(builder, given)
        tflite.SubGraphAddOperators(builder, operators)
        tflite.SubGraphAddName(builder, name)
        return int(tflite.SubGraphEnd(builder))

    def _operator(self, codes: list[tuple[int, int]], operator: _Operator) -> int:
        builder = self._builder
        inputs, outputs = self._indices(operator.inputs), self._indices(operator.outputs)
        intermediates = self._indices(operator.intermediates)
        options = operator.options and operator.options(builder)
        tflite.OperatorStart(builder)
        tflite.OperatorAddOpcodeIndex(builder, codes.index((operator.code, operator.version)))
        tflite.OperatorAddInputs(builder, inputs)
        tflite.OperatorAddOutputs(builder, outputs)
        tflite.OperatorAddIntermediates(builder, intermediates)
        if options is not None:
            tflite.OperatorAddBuiltinOptionsType(builder, operator.kind)
            tflite.OperatorAddBuiltinOptions(builder, options)
        return int(tflite.OperatorEnd(builder))

    def _code(self, code: int, version: int) -> int:
        builder = self._builder
        tflite.OperatorCodeStart(builder)
        # both fields: a runtime of before 2021 knows the old one only
        tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, code)
        tflite.OperatorCodeAddBuiltinCode(builder, code)
        tflite.OperatorCodeAddVersion(builder, version)
        return int(tflite.OperatorCodeEnd(builder))

    def _indices(self, numbers: Sequence[int]) -> int:
        return int(self._builder.CreateNumpyVector(np.array(numbers, np.int32)))

    def _vector(self, places: Sequence[int]) -> int:
        """A vector of what was written at these places."""
        builder = self._builder
        builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            builder.PrependUOffsetTRelative(place)
        return int(builder.EndVector())
