"""A file laid out by hand: one dense layer."""

import numpy as np
import pytest

pytest.importorskip("tflite")

import tflite

from edge_unlock.encoder.network import interpreter
from edge_unlock_convert.quantization import flatbuffer
from edge_unlock_convert.quantization.writer import Quantization, Writer

WEIGHTS = np.arange(-6, 6, dtype=np.float32).reshape(4, 3)
BIAS = np.array([0.5, -0.5, 1, 2], np.float32)


@pytest.fixture
def model():
    writer = Writer("2.0.0")
    source = writer.activation("steps", (1, 1, 3), np.float32, None)
    weights = writer.constant("weights", WEIGHTS)
    bias = writer.constant("bias", BIAS)
    output = writer.activation("output", (1, 1, 4), np.float32, None)
    writer.dense([source, weights, bias], output, relu=True)
    return writer.finish([source], [output])


def test_runtime_computes_it(model):
    steps = np.array([[[1, -2, 0.5], [0, 1, 3]]], np.float32)
    running = interpreter(model, 3)
    source = running.get_input_details()[0]["index"]
    running.resize_tensor_input(source, steps.shape)
    running.allocate_tensors()
    running.set_tensor(source, steps)
    running.invoke()
    found = running.get_tensor(running.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, np.maximum(steps @ WEIGHTS.T + BIAS, 0), rtol=1e-6)


def test_what_was_written_is_read_back(model):
    graph = flatbuffer.read(model)
    assert [tensor.name for tensor in graph.tensors] == ["steps", "weights", "bias", "output"]
    assert [tensor.shape for tensor in graph.tensors] == [(1, 1, 3), (4, 3), (4,), (1, 1, 4)]
    assert [tensor.stored_bytes for tensor in graph.tensors] == [0, 48, 16, 0]
    assert graph.operator_counts == {"FULLY_CONNECTED": 1}
    assert (graph.inputs, graph.outputs) == ((0,), (3,))


def test_stored_numbers_are_aligned(model):
    root = tflite.Model.GetRootAs(model)
    start = np.frombuffer(model, np.uint8).__array_interface__["data"][0]
    for number in range(1, root.BuffersLength()):
        stored = root.Buffers(number).DataAsNumpy()
        assert (stored.__array_interface__["data"][0] - start) % 16 == 0


def test_the_runtime_that_it_needs_is_in_the_metadata(model):
    root = tflite.Model.GetRootAs(model)
    assert root.Metadata(0).Name() == b"min_runtime_version"
    stored = root.Buffers(root.Metadata(0).Buffer()).DataAsNumpy()
    assert bytes(stored) == b"2.0.0".ljust(16, b"\0")


def test_scale_and_zero_point_are_stored():
    writer = Writer("2.0.0")
    tensor = writer.activation("steps", (1, 1, 3), np.int8, Quantization(0.25, -7))
    state = writer.variable("state", (1, 3), np.int16, Quantization(2.0**-12))
    graph = tflite.Model.GetRootAs(writer.finish([tensor], [state])).Subgraphs(0)
    steps, kept = graph.Tensors(tensor), graph.Tensors(state)
    assert steps.Quantization().ScaleAsNumpy() == [0.25]
    assert steps.Quantization().ZeroPointAsNumpy() == [-7]
    assert kept.IsVariable()
    assert not steps.IsVariable()
