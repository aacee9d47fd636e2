"""Keras files: three formats of one model, and what is refused without loading it."""

import json
import sys
import zipfile

import numpy as np
import pytest

from edge_unlock_convert.checkpoint import Options, keras_layers, read_here
from edge_unlock_convert.checkpoint.assembly import assemble
from edge_unlock_convert.checkpoint.keras_graph import parse
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.network import run
from tests.convert.conftest import assert_same

h5py = pytest.importorskip("h5py")


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("tensorflow").keras


@pytest.fixture(scope="module")
def model(keras, network):
    """The network in Keras, with layer names that sort differently than they run."""
    first = keras.Input((None, network.input_size))
    hidden = keras.layers.Masking()(first)
    for name, layer in zip("zy", network.layers, strict=True):
        lstm = keras.layers.LSTM(layer.units, return_sequences=True, name=name)
        hidden = lstm(hidden)
        lstm.set_weights([layer.input_weights.T, layer.recurrent_weights.T, layer.bias])
    dense = keras.layers.Dense(network.embedding_size, name="b")
    attention = keras.layers.TimeDistributed(keras.layers.Dense(1), name="a")
    outputs = [dense(hidden), attention(hidden)]
    for layer, source in ((dense, network.embedding[0]), (attention, network.attention)):
        layer.set_weights([source.weights.T, source.bias])
    return keras.Model(first, outputs)


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "saved_model"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_format_gives_the_same_network(model, network, inputs, tmp_path, name):
    model.save(tmp_path / name)
    found = read_here(tmp_path / name, Options())
    assert_same(found, network, inputs)
    assert found.notes[0] == "Masking was dropped: the device never pads"


def test_sequential_ends_with_its_last_step(keras, tmp_path):
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((None, 12)),
            layers.LSTM(8, return_sequences=True, use_bias=False),
            layers.Dropout(0.1),
            layers.LSTM(6),
            layers.Dense(16, activation="relu"),
            layers.UnitNormalization(),
        ]
    )
    model.save(tmp_path / "model.keras")
    found = read_here(tmp_path / "model.keras", Options())
    steps = np.random.default_rng(0).normal(size=(1, 20, 12)).astype(np.float32)
    last = next(iter(run(found, [steps[0]]))).embedding[-1]
    assert found.pooling == "last"
    np.testing.assert_allclose(last / np.linalg.norm(last), model(steps)[0], atol=1e-5)


def test_mean_may_stand_before_a_linear_layer(keras, tmp_path):
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((None, 12)),
            layers.LSTM(8, return_sequences=True),
            layers.GlobalAveragePooling1D(),
            layers.Dense(4),
        ]
    )
    model.save(tmp_path / "model.keras")
    found = read_here(tmp_path / "model.keras", Options())
    steps = np.random.default_rng(0).normal(size=(1, 20, 12)).astype(np.float32)
    embedding = next(iter(run(found, [steps[0]]))).embedding
    assert found.pooling == "mean"
    np.testing.assert_allclose(embedding.mean(axis=0), model(steps)[0], atol=1e-5)


def sequential(*layers):
    """What Keras writes of a Sequential model, as far as it is read."""
    entries = [{"class_name": "InputLayer", "config": {"name": "input"}}]
    for number, (kind, config) in enumerate(layers):
        entries.append({"class_name": kind, "config": {"name": f"layer{number}", **config}})
    return {"class_name": "Sequential", "config": {"layers": entries}}


def tensor(layer):
    """How Keras 3 names what a layer gives."""
    config = {"shape": [None, None, 4], "dtype": "float32", "keras_history": [layer, 0, 0]}
    return {"class_name": "__keras_tensor__", "config": config}


def functional(*layers):
    """What Keras 3 writes of a Functional model: class, name, settings, inputs, mask."""
    entries = []
    for kind, name, config, sources, mask in layers:
        nodes = [{"args": [tensor(one) for one in sources], "kwargs": {"mask": tensor(mask)}}]
        entries.append(
            {
                "class_name": kind,
                "module": "keras.src.ops.numpy" if kind in ("NotEqual", "Any") else "keras.layers",
                "registered_name": kind if kind in ("NotEqual", "Any") else None,
                "config": {"name": name, "dtype": {"class_name": "DTypePolicy"}, **config},
                "inbound_nodes": nodes if sources else [],
            }
        )
    return {"module": "keras.src.models.functional", "class_name": "Functional"} | {
        "config": {"layers": entries}
    }


def test_keras_3_masks_with_operators_of_their_own(network, inputs, tmp_path):
    """As Keras 3.6 and 3.15 write the model of this module (compared with their own output)."""
    lstm = {"return_sequences": True, "activation": "tanh", "recurrent_activation": "sigmoid"}
    described = functional(
        ("InputLayer", "input", {}, [], ""),
        ("NotEqual", "not_equal", {}, ["input"], ""),
        ("Masking", "masking", {"mask_value": 0.0}, ["input"], ""),
        ("Any", "any", {"axis": -1}, ["not_equal"], ""),
        ("LSTM", "z", lstm, ["masking"], "any"),
        ("LSTM", "y", lstm, ["z"], "any"),
        ("Dense", "b", {"units": network.embedding_size, "activation": "linear"}, ["y"], "any"),
        ("Dense", "a", {"units": 1, "activation": "linear"}, ["y"], "any"),
    )
    weights = tmp_path / "w.h5"
    with h5py.File(weights, "w") as file:
        for group, layer in zip(("lstm", "lstm_1"), network.layers, strict=True):
            arrays = (layer.input_weights.T, layer.recurrent_weights.T, layer.bias)
            for number, array in enumerate(arrays):
                file[f"layers/{group}/cell/vars/{number}"] = array
        dense = (network.embedding[0], network.attention)
        for group, layer in zip(("dense", "dense_1"), dense, strict=True):
            file[f"layers/{group}/vars/0"] = layer.weights.T
            file[f"layers/{group}/vars/1"] = layer.bias
    found = read_here(archive(tmp_path / "model.keras", described, weights), Options())
    assert_same(found, network, inputs)
    assert found.notes[0] == "Masking was dropped: the device never pads"


LSTM = ("LSTM", {"units": 4, "return_sequences": True})


def converted(described):
    """The network of a description, its weights all ones."""
    model = parse(described)
    for layer in model.layers:
        if layer.kind in ("LSTM", "Dense"):
            columns = 16 if layer.kind == "LSTM" else layer.config["units"]
            layer.arrays["kernel"] = np.ones((4, columns), np.float32)
            layer.arrays["recurrent_kernel"] = np.ones((4, 16), np.float32)
    return assemble(keras_layers.contents(model, Options(), "test"), Options())


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([LSTM, ("Lambda", {"function": "whatever"})], "never run"),
        ([("Bidirectional", {"layer": {}})], "cannot stream"),
        ([LSTM, ("LayerNormalization", {})], "cannot be folded"),
        ([("GRU", {})], "only LSTM"),
        ([("Conv1D", {})], "only LSTM and dense"),
        ([("Dense", {"activation": "relu", "units": 3})], "no LSTM"),
        ([("LSTM", {**LSTM[1], "go_backwards": True})], "go_backwards=True"),
        ([("LSTM", {**LSTM[1], "recurrent_activation": "hard_sigmoid"})], "hard_sigmoid"),
        ([LSTM, ("Dense", {"activation": "gelu", "units": 3})], "'gelu'"),
        ([LSTM, ("TimeDistributed", {"layer": {"class_name": "Conv2D"}})], "TimeDistributed"),
    ],
)
def test_layers_that_cannot_be_converted(layers, words):
    with pytest.raises(CheckpointError, match=words) as caught:
        converted(sequential(*layers))
    assert caught.value.hint


def test_class_of_its_own_is_refused():
    described = sequential(LSTM)
    described["config"]["layers"][1] |= {"module": "builtins", "registered_name": "evil>LSTM"}
    with pytest.raises(CheckpointError, match="class of its own"):
        converted(described)


@pytest.mark.parametrize("described", [{}, [], {"class_name": "Sequential", "config": {}}, None])
def test_malformed_description_is_refused(described):
    with pytest.raises(CheckpointError, match="malformed"):
        parse(described)


def archive(path, described, weights):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps(described))
        file.write(weights, "model.weights.h5")
    return path


def test_weights_in_another_file_are_refused(tmp_path):
    secret, weights = tmp_path / "secret.h5", tmp_path / "w.h5"
    with h5py.File(secret, "w") as file:
        file["array"] = np.ones((4, 16), np.float32)
    with h5py.File(weights, "w") as file:
        file["layers/lstm/cell/vars/0"] = h5py.ExternalLink(str(secret), "array")
    path = archive(tmp_path / "model.keras", sequential(LSTM), weights)
    with pytest.raises(CheckpointError, match="links to another file"):
        read_here(path, Options())


def test_array_that_unpacks_to_gigabytes_is_refused(tmp_path):
    weights = tmp_path / "w.h5"
    with h5py.File(weights, "w") as file:
        file.create_dataset(
            "layers/lstm/cell/vars/0", (2**15, 2**15), np.float32, chunks=(1024, 1024)
        )
    path = archive(tmp_path / "model.keras", sequential(LSTM), weights)
    with pytest.raises(CheckpointError, match="claims 4,294,967,296 bytes"):
        read_here(path, Options())


def test_missing_weights_are_refused(tmp_path):
    weights = tmp_path / "w.h5"
    h5py.File(weights, "w").close()
    path = archive(tmp_path / "model.keras", sequential(LSTM), weights)
    with pytest.raises(CheckpointError, match="'layer0' has no weights"):
        read_here(path, Options())


def test_truncated_archive_is_refused(tmp_path):
    weights = tmp_path / "w.h5"
    h5py.File(weights, "w").close()
    path = archive(tmp_path / "model.keras", sequential(LSTM), weights)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(CheckpointError, match="damaged"):
        read_here(path, Options())


def test_truncated_hdf5_is_refused(tmp_path):
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.ones(1000)
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(CheckpointError, match="damaged"):
        read_here(path, Options())


def test_saved_model_without_tensorflow_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "saved_model.pb").touch()
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(CheckpointError, match=r"read with TensorFlow 2\.15") as caught:
        read_here(tmp_path, Options())
    assert "encoder.keras" in caught.value.hint
