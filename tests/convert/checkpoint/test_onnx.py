"""ONNX models: judged by ONNX's own reference implementation."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from edge_unlock_convert.checkpoint import Options, read_here  # noqa: E402
from edge_unlock_convert.errors import CheckpointError  # noqa: E402
from edge_unlock_convert.network import pool, run  # noqa: E402

UNITS, INPUTS, SIZE = 6, 5, 3
FLOAT = TensorProto.FLOAT


@pytest.fixture
def arrays():
    generator = np.random.default_rng(4)
    shapes = {
        "W": (1, 4 * UNITS, INPUTS),
        "R": (1, 4 * UNITS, UNITS),
        "B": (1, 8 * UNITS),
        "D": (UNITS, SIZE),
        "b": (SIZE,),
    }
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def save(path, nodes, arrays, outputs=("y",)):
    """Write a model on x (T, 1, INPUTS); returns its path."""
    initializers = [numpy_helper.from_array(values, name) for name, values in arrays.items()]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("x", FLOAT, (None, 1, INPUTS))],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        initializers,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), str(path))
    return path


def lstm(*outputs, **attributes):
    attributes = {"hidden_size": UNITS, **attributes}
    return helper.make_node("LSTM", ["x", "W", "R", "B"], list(outputs), **attributes)


def steps_model(path, arrays):
    nodes = [
        lstm("h"),
        helper.make_node("Squeeze", ["h", "axis"], ["s"]),
        helper.make_node("MatMul", ["s", "D"], ["m"]),
        helper.make_node("Add", ["b", "m"], ["y"]),
    ]
    return save(path, nodes, {**arrays, "axis": np.array([1])})


def test_gate_order_is_that_of_the_reference(tmp_path, arrays):
    from onnx.reference import ReferenceEvaluator

    path = steps_model(tmp_path / "m.onnx", arrays)
    steps = np.random.default_rng(0).normal(size=(20, INPUTS)).astype(np.float32)
    expected = ReferenceEvaluator(str(path)).run(None, {"x": steps[:, None]})[0]
    found = next(iter(run(read_here(path, Options()), [steps]))).embedding
    # the reference gives the hidden states of one step at a time only for the last one
    np.testing.assert_allclose(found[-1], expected.reshape(-1, SIZE)[-1], atol=1e-5)


def test_last_state_relu_and_length(tmp_path, arrays):
    nodes = [
        lstm("", "last"),
        helper.make_node("Squeeze", ["last", "axis"], ["s"]),
        helper.make_node("Gemm", ["s", "D", "b"], ["g"]),
        helper.make_node("Relu", ["g"], ["r"]),
        helper.make_node("ReduceL2", ["r"], ["n"], axes=[1]),
        helper.make_node("Div", ["r", "n"], ["y"]),
    ]
    path = save(tmp_path / "m.onnx", nodes, {**arrays, "axis": np.array([0])})
    found = read_here(path, Options())
    assert (found.pooling, found.embedding[0].activation) == ("last", "relu")
    steps = np.random.default_rng(0).normal(size=(20, INPUTS)).astype(np.float32)
    from onnx.reference import ReferenceEvaluator

    expected = ReferenceEvaluator(str(path)).run(None, {"x": steps[:, None]})[0]
    outputs = next(iter(run(found, [steps])))
    np.testing.assert_allclose(pool(outputs.embedding, None, "last"), expected[0], atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("pooling", ["last state", "last step", "mean", "steps"])
def test_exports_of_pytorch(tmp_path, pooling):
    torch = pytest.importorskip("torch")

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(INPUTS, UNITS, 2, batch_first=True)
            self.dense = torch.nn.Linear(UNITS, SIZE)

        def forward(self, steps):
            hidden, (last, _) = self.lstm(steps)
            if pooling == "last state":
                return torch.nn.functional.normalize(torch.relu(self.dense(last[-1])))
            if pooling == "last step":
                return self.dense(hidden[:, -1])
            return self.dense(hidden).mean(1) if pooling == "mean" else self.dense(hidden)

    torch.manual_seed(0)
    model, steps = Encoder().eval(), torch.randn(1, 30, INPUTS)
    path = tmp_path / "m.onnx"
    torch.onnx.export(model, (steps,), str(path), dynamo=False)
    found = read_here(path, Options())
    assert found.pooling == {"mean": "mean", "steps": None}.get(pooling, "last")
    outputs = next(iter(run(found, [steps[0].numpy()])))
    expected = model(steps)[0].detach().numpy()
    if pooling == "steps":
        np.testing.assert_allclose(outputs.embedding, expected, atol=1e-5)
    else:
        unit = pool(outputs.embedding, None, found.pooling)
        np.testing.assert_allclose(unit, expected / np.linalg.norm(expected), atol=1e-5)


def refused(path, words):
    with pytest.raises(CheckpointError, match=words) as caught:
        read_here(path, Options())
    assert caught.value.hint


def test_bidirectional_is_refused(tmp_path, arrays):
    refused(save(tmp_path / "m.onnx", [lstm("y", direction="reverse")], arrays), "backwards")


def test_other_activations_are_refused(tmp_path, arrays):
    node = lstm("y", activations=["Sigmoid", "Relu", "Tanh"])
    refused(save(tmp_path / "m.onnx", [node], arrays), "other activations")


def test_initial_state_is_refused(tmp_path, arrays):
    node = helper.make_node("LSTM", ["x", "W", "R", "B", "", "h0"], ["y"], hidden_size=UNITS)
    model = {**arrays, "h0": np.ones((1, 1, UNITS), np.float32)}
    refused(save(tmp_path / "m.onnx", [node], model), "initial state")


def test_leftover_weights_are_refused(tmp_path, arrays):
    refused(save(tmp_path / "m.onnx", [lstm("y")], arrays), "no layer uses: D, b")


def test_other_nodes_are_refused(tmp_path, arrays):
    nodes = [lstm("h"), helper.make_node("Sigmoid", ["h"], ["y"])]
    refused(save(tmp_path / "m.onnx", nodes, arrays), "Sigmoid")


def test_convolution_is_refused(tmp_path):
    nodes = [helper.make_node("Conv", ["x", "k"], ["y"])]
    refused(save(tmp_path / "m.onnx", nodes, {"k": np.ones((1, 1, 3), np.float32)}), "Conv")


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname"])
def test_weights_outside_of_the_folder_are_refused(tmp_path, arrays, location):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(b"\0" * 10_000)
    path = steps_model(folder / "m.onnx", arrays)
    model = onnx.load(str(path))
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", location
    path.write_bytes(model.SerializeToString())
    refused(path, "not beside it")


def test_truncated(tmp_path, arrays):
    path = steps_model(tmp_path / "m.onnx", arrays)
    path.write_bytes(path.read_bytes()[:-40])
    refused(path, "damaged")


def test_weights_that_are_integers_are_refused(tmp_path, arrays):
    path = steps_model(tmp_path / "m.onnx", {**arrays, "W": (10 * arrays["W"]).astype(np.int8)})
    with pytest.raises(CheckpointError, match="'W' are int8 numbers"):
        read_here(path, Options(pooling="mean"))
