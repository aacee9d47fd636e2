"""ONNX graphs as exporters write them: constants put together anew, layers that fold exactly."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from edge_unlock_convert.checkpoint import Options, read_here  # noqa: E402
from edge_unlock_convert.errors import CheckpointError  # noqa: E402
from edge_unlock_convert.network import Dense, LstmLayer, Network, pool, run  # noqa: E402
from tests.convert.conftest import assert_same, make_dense, make_lstm  # noqa: E402

INPUTS, UNITS, SIZE = 5, 6, 3
GENERATOR = np.random.default_rng(7)
node = helper.make_node


@pytest.fixture(scope="module")
def layer():
    return make_lstm(GENERATOR, INPUTS, UNITS)


@pytest.fixture(scope="module")
def steps():
    return [GENERATOR.normal(size=(20, INPUTS)).astype(np.float32)]


def save(path, nodes, arrays, opset=17, outputs=("y",), inputs=()):
    """Write a model on x (T, 1, INPUTS); returns its path."""
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (None, 1, INPUTS)), *inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    onnx.save(model, str(path))
    return path


def onnx_gates(values):
    """From the order i, f, g, o to ONNX's i, o, f, g."""
    i, f, g, o = np.split(values, 4)
    return np.concatenate([i, o, f, g])


def lstm_arrays(layer):
    bias = np.concatenate([onnx_gates(layer.bias), np.zeros_like(layer.bias)])
    return {
        "W": onnx_gates(layer.input_weights)[None],
        "R": onnx_gates(layer.recurrent_weights)[None],
        "B": bias[None],
    }


def lstm(*outputs, states=()):
    return node("LSTM", ["x", "W", "R", "B", *states], list(outputs), hidden_size=UNITS)


LAST = [lstm("", "h"), node("Squeeze", ["h", "zero"], ["s"])]
"""The last hidden state (1, UNITS)."""
ZERO = {"zero": np.array([0])}


@pytest.mark.parametrize("opset", [9, 11, 17])
def test_gates_that_are_slices_of_a_matrix(layer, steps, tmp_path, opset):
    """As PyTorch's exporters write them: sliced, put together in another order, unsqueezed."""
    arrays = {"w": layer.input_weights, "r": layer.recurrent_weights, "b": layer.bias}
    nodes = []
    for name in arrays.copy():
        for gate in range(4):
            bounds = ([gate * UNITS], [(gate + 1) * UNITS], [0])
            if opset == 9:
                kinds = dict(zip(("starts", "ends", "axes"), bounds, strict=True))
                nodes.append(node("Slice", [name], [f"{name}{gate}"], **kinds))
                continue
            ends = [f"{name}{gate}.{kind}" for kind in range(3)]
            arrays |= {end: np.array(one) for end, one in zip(ends, bounds, strict=True)}
            nodes.append(node("Slice", [name, *ends], [f"{name}{gate}"]))
        nodes.append(node("Concat", [f"{name}{gate}" for gate in (0, 3, 1, 2)], [name * 2], axis=0))
    nodes.append(node("Sub", ["b", "b"], ["none"]))
    nodes.append(node("Concat", ["bb", "none"], ["biases"], axis=0))
    for name, made in (("ww", "W"), ("rr", "R"), ("biases", "B")):
        if opset < 13:
            nodes.append(node("Unsqueeze", [name], [made], axes=[0]))
        else:
            nodes.append(node("Unsqueeze", [name, "zero"], [made]))
            arrays |= ZERO
    path = save(tmp_path / "m.onnx", [*nodes, *LAST[:1]], arrays, opset, outputs=("h",))
    assert_same(read_here(path, Options()), Network((layer,)), steps)


def test_constants_that_do_not_fit_are_refused(layer, tmp_path):
    nodes = [node("Concat", ["W", "B"], ["both"], axis=0), lstm("y")]
    with pytest.raises(CheckpointError, match=r"constants of the Concat node .* do not fit"):
        read_here(save(tmp_path / "m.onnx", nodes, lstm_arrays(layer)), Options())


def test_a_constant_shorter_than_its_shape_is_refused(layer, tmp_path):
    path = save(tmp_path / "m.onnx", [lstm("y")], lstm_arrays(layer))
    model = onnx.load(str(path))
    model.graph.initializer[0].dims[1] += 4
    onnx.save(model, str(path))
    with pytest.raises(CheckpointError, match="constant of the model is malformed"):
        read_here(path, Options())


def test_a_product_that_would_fill_the_memory_is_not_computed(layer, tmp_path):
    """Two vectors of 2^14 make 2^28 numbers."""
    arrays = {**lstm_arrays(layer), "row": np.ones((1, 2**14), np.float32)}
    arrays["column"] = arrays["row"].T.copy()
    nodes = [node("Mul", ["row", "column"], ["big"]), lstm("y")]
    with pytest.raises(CheckpointError, match="no layer uses: row, column"):
        read_here(save(tmp_path / "m.onnx", nodes, arrays), Options())


def test_weights_that_depend_on_the_input_are_refused(layer, tmp_path):
    nodes = [*LAST, node("Gemm", ["s", "s"], ["y"])]
    with pytest.raises(CheckpointError, match="depend on the input"):
        read_here(save(tmp_path / "m.onnx", nodes, lstm_arrays(layer) | ZERO), Options())


@pytest.mark.parametrize("kind", ["Gemm", "MatMul and Add"])
def test_relu_between_two_layers_stays(layer, steps, tmp_path, kind):
    first, second = make_dense(GENERATOR, UNITS, 4, "relu"), make_dense(GENERATOR, 4, SIZE)
    arrays = lstm_arrays(layer) | ZERO
    nodes, last = [*LAST], "s"
    for name, dense in (("fc", first), ("head", second)):
        arrays |= {f"{name}.weight": dense.weights.T.copy(), f"{name}.bias": dense.bias}
        if kind == "Gemm":
            nodes.append(node("Gemm", [last, f"{name}.weight", f"{name}.bias"], [name]))
        else:
            nodes.append(node("MatMul", [last, f"{name}.weight"], [f"{name}_m"]))
            nodes.append(node("Add", [f"{name}_m", f"{name}.bias"], [name]))
        if dense is first:
            nodes.append(node("Relu", [name], ["bent"]))
        last = "bent"
    path = save(tmp_path / "m.onnx", nodes, arrays, outputs=("head",))
    with pytest.raises(CheckpointError, match=r"ends in 'head' \(4 -> 3\)") as caught:
        read_here(path, Options())
    assert "fc, head" in caught.value.hint
    both = Network((layer,), (first, second), pooling="last")
    assert_same(read_here(path, Options(embedding=["head"])), both, steps)
    cut = read_here(path, Options(embedding=["fc"], activation=["relu"]))
    assert_same(cut, Network((layer,), (first,), pooling="last"), steps)
    straight = read_here(path, Options(embedding=["fc"]))
    assert_same(straight, Network((layer,), (Dense(first.weights, first.bias),)), steps)
    assert "before the ReLU that follows fc" in straight.notes[0]


def test_a_softmax_takes_its_classifier_with_it(layer, steps, tmp_path):
    classifier = make_dense(GENERATOR, UNITS, 9)
    arrays = lstm_arrays(layer) | ZERO | {"D": classifier.weights.T.copy(), "b": classifier.bias}
    nodes = [*LAST, node("Gemm", ["s", "D", "b"], ["g"]), node("Softmax", ["g"], ["y"], axis=-1)]
    found = read_here(save(tmp_path / "m.onnx", nodes, arrays), Options())
    assert_same(found, Network((layer,), pooling="last"), steps)


def test_what_is_done_to_features_before_the_lstm_is_folded(layer, steps, tmp_path):
    mean, scale = (GENERATOR.uniform(1, 2, INPUTS).astype(np.float32) for _ in range(2))
    nodes = [
        node("Sub", ["raw", "mean"], ["centered"]),
        node("Div", ["centered", "scale"], ["x"]),
        lstm("y"),
    ]
    path = save(tmp_path / "m.onnx", nodes, lstm_arrays(layer) | {"mean": mean, "scale": scale})
    model = onnx.load(str(path))
    model.graph.input[0].name = "raw"
    onnx.save(model, str(path))
    wider = LstmLayer(
        layer.input_weights / scale,
        layer.recurrent_weights,
        layer.bias - layer.input_weights @ (mean / scale),
    )
    assert_same(read_here(path, Options()), Network((wider,)), steps)


@pytest.mark.parametrize(
    ("nodes", "arrays", "words"),
    [
        ([lstm("h"), node("Add", ["h", "k"], ["y"])],
         {"k": np.ones((20, 1, 1, UNITS))}, "every step"),
        ([lstm("h"), node("ReduceMean", ["h"], ["y"], axes=[2])], {}, "not work over times"),
        ([lstm("h"), node("Gather", ["h", "k"], ["y"], axis=0)], {"k": np.array(3)}, "last step"),
        ([lstm("h"), node("Cast", ["h"], ["y"], to=TensorProto.INT32)], {}, "rounds"),
        ([lstm("h"), node("Mul", ["h", "h"], ["y"])], {}, "joins two branches"),
        ([lstm("h"), node("Reshape", ["h", "k"], ["r"]), node("MatMul", ["r", "D"], ["y"])],
         {"k": np.array([-1]), "D": np.ones((UNITS, 2))}, "does not read a step"),
        ([lstm("h"), node("Squeeze", ["h"], ["r"]), node("MatMul", ["r", "D"], ["y"])],
         {"D": np.ones((UNITS, 2))}, "does not read a step"),
        ([node("Transpose", ["in"], ["x"], perm=[0, 2, 1]), lstm("y")], {}, "not read features"),
        ([lstm("h"), node("Softmax", ["h"], ["y"], axis=0)], {}, "weighs the steps by itself"),
    ],
    ids=range(9),
)  # fmt: skip
def test_what_would_not_be_exact_is_refused(layer, tmp_path, nodes, arrays, words):
    arrays = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in arrays.items()}
    path = save(tmp_path / "m.onnx", nodes, lstm_arrays(layer) | arrays)
    if nodes[0].op_type == "Transpose":
        model = onnx.load(str(path))
        model.graph.input[0].name = "in"
        onnx.save(model, str(path))
    with pytest.raises(CheckpointError, match=words) as caught:
        read_here(path, Options())
    assert caught.value.hint


def zeros(kind):
    """Nodes that make the state ``h0`` out of the batch that the input has."""
    shape = [node("Shape", ["x"], ["n"]), node("Gather", ["n", "one"], ["b"])]
    shape.append(node("Concat", ["single", "b", "units"], ["shape"], axis=0))
    made = {
        "filled": [node("ConstantOfShape", ["shape"], ["h0"])],
        "expanded": [node("Expand", ["nought", "shape"], ["h0"])],
        "ones": [node("ConstantOfShape", ["shape"], ["z"]), node("Exp", ["z"], ["h0"])],
    }
    return [*shape, *made[kind]]


STARTS = {
    "one": np.array([1]),
    "single": np.array([1]),
    "units": np.array([UNITS]),
    "nought": np.zeros((1, 1, 1), np.float32),
}


@pytest.mark.parametrize("kind", ["filled", "expanded", "given"])
def test_states_that_start_at_zero(layer, steps, tmp_path, kind):
    given = [helper.make_tensor_value_info("h0", TensorProto.FLOAT, (1, 1, UNITS))]
    nodes = [lstm("y", states=("", "h0"))]
    if kind == "given":  # a streaming export carries them along; the device starts at zero
        path = save(tmp_path / "m.onnx", nodes, lstm_arrays(layer), inputs=given)
    else:
        path = save(tmp_path / "m.onnx", zeros(kind) + nodes, lstm_arrays(layer) | STARTS)
    found = read_here(path, Options())
    assert_same(found, Network((layer,)), steps)
    assert ("h0 that is given from outside" in " ".join(found.notes)) == (kind == "given")


def test_states_that_start_elsewhere_are_refused(layer, tmp_path):
    nodes = [*zeros("ones"), lstm("y", states=("", "h0"))]
    path = save(tmp_path / "m.onnx", nodes, lstm_arrays(layer) | STARTS)
    with pytest.raises(CheckpointError, match="initial state"):
        read_here(path, Options())


def test_a_loop_is_named_and_its_weights_are_not_to_be_dropped(layer, tmp_path):
    number = helper.make_tensor_value_info("i", TensorProto.INT64, ())
    goes_on = helper.make_tensor_value_info("on", TensorProto.BOOL, ())
    made = helper.make_tensor_value_info("made", TensorProto.FLOAT, None)
    still = helper.make_tensor_value_info("still", TensorProto.BOOL, ())
    body = helper.make_graph(
        [node("Identity", ["on"], ["still"]), node("MatMul", ["x", "weights"], ["made"])],
        "body",
        [number, goes_on],
        [still, made],
    )
    nodes = [node("Loop", ["count", "true"], ["y"], body=body)]
    arrays = {"count": np.array(9), "true": np.array(True), "weights": np.eye(5, dtype=np.float32)}
    with pytest.raises(CheckpointError, match="LSTM is written out as a loop") as caught:
        read_here(save(tmp_path / "m.onnx", nodes, arrays), Options())
    assert "drop" not in str(caught.value) + caught.value.hint


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def exported(torch, forward, path, **modules):
    """An encoder of these modules as PyTorch exports it, and what it gives for some steps."""

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(INPUTS, UNITS, 2, batch_first=True)
            for name, module in modules.items():
                setattr(self, name, module)

        def forward(self, steps):
            return forward(self, self.lstm(steps)[0])

    torch.manual_seed(0)
    model, steps = Encoder().eval(), torch.randn(1, 30, INPUTS)
    torch.onnx.export(model, (steps,), str(path), dynamo=False)
    return steps[0].numpy(), model(steps)[0].detach().numpy()


def assert_unit(found, steps, expected):
    made = next(iter(run(found, [steps])))
    unit = pool(made.embedding, made.logit, found.pooling)
    np.testing.assert_allclose(unit, expected / np.linalg.norm(expected), atol=1e-5)


ATTENTION = {
    "a sum": lambda logits, h: (logits.softmax(1) * h).sum(dim=1),
    "squeezed logits": lambda logits, h: (logits.squeeze(-1).softmax(1).unsqueeze(-1) * h).sum(1),
    "weights first": lambda logits, h: (logits.softmax(1).transpose(1, 2) @ h).squeeze(1),
    "steps first": lambda logits, h: (h.transpose(1, 2) @ logits.softmax(1)).squeeze(-1),
    "a row": lambda logits, h: (logits.squeeze(-1).softmax(-1).unsqueeze(1) @ h).squeeze(1),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ATTENTION)
def test_attention_inside_of_the_graph(torch, tmp_path, kind):
    def forward(self, hidden):
        return self.fc(ATTENTION[kind](self.weigher(hidden), hidden))

    modules = {"weigher": torch.nn.Linear(UNITS, 1), "fc": torch.nn.Linear(UNITS, SIZE)}
    steps, expected = exported(torch, forward, tmp_path / "m.onnx", **modules)
    found = read_here(tmp_path / "m.onnx", Options())
    assert found.pooling == "attention"
    assert_unit(found, steps, expected)


ODD_ATTENTION = {
    "a bias added to every weighed step": lambda w, h, fc: fc(w * h).sum(dim=1),
    "weights that are changed after": lambda w, h, fc: (w * 2 * h).sum(dim=1),
    "weights of a sum that is not one": lambda w, h, fc: (w.relu() * h).sum(dim=1),
    "weights times weights": lambda w, h, fc: (w * w * h).sum(dim=1),
    "weighed steps in a product": lambda w, h, fc: (w.transpose(1, 2) @ (w * h)).squeeze(1),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ODD_ATTENTION)
def test_attention_that_is_not_the_device_s_is_refused(torch, tmp_path, kind):
    def forward(self, hidden):
        return ODD_ATTENTION[kind](torch.softmax(self.weigher(hidden), 1), hidden, self.fc)

    modules = {"weigher": torch.nn.Linear(UNITS, 1), "fc": torch.nn.Linear(UNITS, SIZE)}
    exported(torch, forward, tmp_path / "m.onnx", **modules)
    with pytest.raises(CheckpointError, match=r"weights|joins two branches"):
        read_here(tmp_path / "m.onnx", Options())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("place", ["steps", "embedding"])
def test_normalization(torch, tmp_path, place):
    """Over the features of every step, for which PyTorch turns axes around, or of one."""
    norm = torch.nn.BatchNorm1d(UNITS if place == "steps" else SIZE)
    norm(torch.randn(40, norm.num_features) * 2 + 1)
    torch.nn.init.normal_(norm.weight)

    def forward(self, hidden):
        if place == "steps":
            hidden = self.norm(hidden.transpose(1, 2)).transpose(1, 2)
            return self.fc(hidden.mean(dim=1))
        return self.norm(self.fc(hidden[:, -1]))

    fc = torch.nn.Linear(UNITS, SIZE)
    steps, expected = exported(torch, forward, tmp_path / "m.onnx", fc=fc, norm=norm)
    assert_unit(read_here(tmp_path / "m.onnx", Options()), steps, expected)
