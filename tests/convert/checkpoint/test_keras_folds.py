"""Keras layers that fold exactly: what Keras computes is the judge."""

import json

import numpy as np
import pytest

from edge_unlock_convert.checkpoint import Options, read_here
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.network import pool, run

h5py = pytest.importorskip("h5py")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

INPUTS, UNITS = 10, 8


@pytest.fixture(scope="module")
def keras():
    found = pytest.importorskip("tensorflow").keras
    found.utils.set_random_seed(1)
    return found


@pytest.fixture(scope="module")
def layers(keras):
    return keras.layers


def trained(model):
    """The model with weights that are nowhere the ones that it starts with."""
    generator = np.random.default_rng(2)
    for layer in model.layers:
        if getattr(layer, "layers", None):
            trained(layer)
        elif type(layer).__name__ != "Normalization":
            layer.set_weights([generator.uniform(0.2, 1, one.shape) - 0.4 * (one.ndim > 1)
                               for one in layer.get_weights()])  # fmt: skip
    return model


def assert_gives_what(model, path, expected=None, **options):
    """What is read of the saved model gives what Keras gives, but for the length."""
    model.save(path)
    steps = np.random.default_rng(3).normal(size=(1, 20, INPUTS)).astype(np.float32)
    found = read_here(path, Options(**options))
    made = next(iter(run(found, [steps[0]])))
    unit = pool(made.embedding, made.logit, found.pooling)
    wanted = np.asarray((expected or model)(steps))[0]
    np.testing.assert_allclose(unit, wanted / np.linalg.norm(wanted), atol=1e-5)
    return found


@pytest.fixture(
    params=["keras", "h5"],
)
def path(request, tmp_path):
    return tmp_path / f"model.{request.param}"


KINDS = {
    "normalizations": lambda L: [
        L.BatchNormalization(),
        L.LSTM(UNITS, return_sequences=True),
        L.BatchNormalization(),
        L.LSTM(UNITS),
        L.BatchNormalization(scale=False),
        L.Dense(6),
        L.BatchNormalization(center=False),
    ],
    "dense before": lambda L: [
        L.TimeDistributed(L.Dense(7)),
        L.Dense(5),
        L.LSTM(UNITS),
        L.Dense(6),
    ],
    "activations": lambda L: [
        L.LSTM(UNITS),
        L.Dense(6),
        L.Activation("relu"),
        L.Dense(5),
        L.ReLU(),
    ],
    "cell": lambda L: [L.RNN(L.LSTMCell(UNITS), return_sequences=True), L.RNN(L.LSTMCell(6))],
    "length": lambda L: [L.LSTM(UNITS), L.Dense(6), L.UnitNormalization()],
    "mean": lambda L: [
        L.LSTM(UNITS, return_sequences=True),
        L.GlobalAveragePooling1D(),
        L.Dense(6),
        L.BatchNormalization(),
    ],
    "flat": lambda L: [L.LSTM(UNITS), L.Flatten(), L.Dense(6)],
}


@pytest.mark.parametrize("kind", KINDS)
def test_folds(keras, layers, path, kind):
    model = trained(keras.Sequential([layers.Input((None, INPUTS)), *KINDS[kind](layers)]))
    last = {"activations": model.layers[-2].name}.get(kind)
    options = {"embedding": [model.layers[-1].name]} if last else {}
    assert_gives_what(model, path, **options)


def test_measured_normalization(keras, layers, path):
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(4).normal(size=(9, 20, INPUTS)) * 3 + 1)
    model = keras.Sequential(
        [layers.Input((None, INPUTS)), normalization, layers.LSTM(UNITS), layers.Dense(6)]
    )
    assert_gives_what(trained(model), path)


def test_states_that_are_given_back(keras, layers, path):
    source = keras.Input((None, INPUTS))
    _, hidden, _ = layers.LSTM(UNITS, return_state=True)(source)
    model = keras.Model(source, layers.Dense(6)(hidden))
    assert_gives_what(trained(model), path)


def test_attention_inside_of_the_model(keras, layers, path):
    source = keras.Input((None, INPUTS))
    steps = layers.LSTM(UNITS, return_sequences=True)(source)
    weights = layers.Softmax(axis=1)(layers.Dense(1)(steps))
    pooled = layers.Flatten()(layers.Dot(axes=1)([weights, steps]))
    model = trained(keras.Model(source, layers.Dense(6)(pooled)))
    found = assert_gives_what(model, path)
    assert found.pooling == "attention"


def test_weights_of_every_feature_by_itself_are_no_attention(keras, layers, path):
    source = keras.Input((None, INPUTS))
    steps = layers.LSTM(UNITS, return_sequences=True)(source)
    weights = layers.Softmax(axis=1)(layers.Dense(UNITS)(steps))
    keras.Model(source, layers.Dot(axes=1)([weights, steps])).save(path)
    with pytest.raises(CheckpointError, match="reads from several layers"):
        read_here(path, Options())


@pytest.fixture
def classifier(keras, layers):
    """An encoder as a nested model, with the softmax that it was trained with."""
    encoder = keras.Sequential(
        [layers.LSTM(UNITS, return_sequences=True), layers.LSTM(UNITS), layers.Dense(6, name="dv")],
        name="encoder",
    )
    source = keras.Input((None, INPUTS))
    scores = layers.Dense(30, activation="softmax", name="speakers")
    return trained(keras.Model(source, scores(layers.Dropout(0.2)(encoder(source)))))


def test_a_nested_model_without_its_softmax(classifier, path):
    found = assert_gives_what(classifier, path, classifier.get_layer("encoder"))
    assert any("speakers (6 -> 30, softmax) was left behind" in note for note in found.notes)


def test_a_nested_model_up_to_a_layer(classifier, path):
    assert_gives_what(classifier, path, classifier.get_layer("encoder"), embedding=["dv"])
    with pytest.raises(CheckpointError, match="no layer 'dw' leads to the output") as caught:
        read_here(path, Options(embedding=["dw"]))
    assert "dv, speakers" in caught.value.hint


def test_equal_names_in_nested_models_are_refused(keras, layers, tmp_path):
    parts = [
        keras.Sequential([layers.LSTM(UNITS, return_sequences=True, name="same")], name=name)
        for name in ("one", "two")
    ]
    model = keras.Sequential([layers.Input((None, INPUTS)), *parts])
    model.save(tmp_path / "model.keras")
    with pytest.raises(CheckpointError, match="have the same name: same"):
        read_here(tmp_path / "model.keras", Options())


def test_the_list_that_keras_wrote_until_2_2(keras, layers, tmp_path):
    """Of a Sequential model; the rest of the file is the same."""
    path = tmp_path / "old.h5"
    model = keras.Sequential([layers.Input((None, INPUTS)), layers.LSTM(UNITS), layers.Dense(6)])
    assert_gives_what(trained(model), path)
    with h5py.File(path, "r+") as file:
        described = json.loads(file.attrs["model_config"])
        entries = described["config"]["layers"][1:]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": entries})
    found = read_here(path, Options())
    assert (found.layers[0].units, found.embedding_size) == (UNITS, 6)


def test_a_description_that_is_no_json_is_damage(tmp_path):
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["model_config"] = '{"class_name": "Seq'
    with pytest.raises(CheckpointError, match="is damaged"):
        read_here(tmp_path / "model.h5", Options())


def test_everything_that_cannot_be_converted_is_named_at_once(keras, layers, path):
    model = keras.Sequential(
        [
            layers.Input((None, INPUTS)),
            layers.LayerNormalization(name="first"),
            layers.LSTM(UNITS),
            layers.Dense(6, activation="tanh", name="second"),
        ]
    )
    model.save(path)
    with pytest.raises(CheckpointError, match=r"'first' .*; the layer 'second' .* 'tanh'"):
        read_here(path, Options())
