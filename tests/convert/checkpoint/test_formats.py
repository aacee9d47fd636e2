"""One network saved from three frameworks: the same numbers arrive, and the same packages."""

from itertools import pairwise

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from edge_unlock import Encoder
from edge_unlock_convert.checkpoint import Options, read_here
from edge_unlock_convert.cli import main

NAMES = ("encoder.pt", "encoder.onnx", "encoder.keras", "encoder.h5", "saved_model")


@pytest.fixture(scope="module")
def directory(network, state_dict, tmp_path_factory):
    """The network without its attention output, in every format."""
    path = tmp_path_factory.mktemp("formats")
    save_pytorch_and_onnx(path, network, state_dict)
    save_keras(path, network)
    return path


def save_pytorch_and_onnx(path, network, state_dict):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    first, second = network.layers

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.LSTM(first.inputs, first.units, batch_first=True)
            self.second = torch.nn.LSTM(second.inputs, second.units, batch_first=True)
            self.dense = torch.nn.Linear(second.units, network.embedding_size)
            ends = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            for number, lstm in enumerate((self.first, self.second)):
                lstm.load_state_dict(
                    {f"{end}_l0": state_dict[f"lstm.{end}_l{number}"] for end in ends}
                )
            self.dense.load_state_dict(
                {end: state_dict[f"embedding.{end}"] for end in ("weight", "bias")}
            )

        def forward(self, steps):
            return self.dense(self.second(self.first(steps)[0])[0])

    example = torch.zeros(1, 9, network.input_size)
    torch.onnx.export(Module().eval(), (example,), str(path / "encoder.onnx"), dynamo=False)
    plain = {name: one for name, one in state_dict.items() if not name.startswith("attention")}
    torch.save(plain, path / "encoder.pt")


def save_keras(path, network):
    keras = pytest.importorskip("tensorflow").keras
    layers = keras.layers
    first, second = network.layers
    model = keras.Sequential(
        [
            layers.Input((None, network.input_size)),
            layers.LSTM(first.units, return_sequences=True),
            layers.LSTM(second.units, return_sequences=True),
            layers.Dense(network.embedding_size),
        ]
    )
    for layer, source in zip(model.layers, network.layers, strict=False):
        layer.set_weights([source.input_weights.T, source.recurrent_weights.T, source.bias])
    model.layers[2].set_weights([network.embedding[0].weights.T, network.embedding[0].bias])
    for name in NAMES[2:]:
        model.save(path / name)


def numbers(network):
    arrays = [
        array
        for layer in network.layers
        for array in (layer.input_weights, layer.recurrent_weights, layer.bias)
    ]
    return [*arrays, network.embedding[0].weights, network.embedding[0].bias]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_the_same_numbers_arrive(network, directory, name):
    found = numbers(read_here(directory / name, Options()))
    for one, wanted in zip(found, numbers(network), strict=True):
        np.testing.assert_array_equal(one, wanted)


@pytest.mark.filterwarnings("ignore")
def test_packages_embed_alike(directory, speech, tmp_path):
    embeddings = []
    for name in NAMES:
        package = tmp_path / name
        arguments = [
            *("quantize", directory / name, "--out", package, "--speech", speech),
            *("--pooling", "mean", "--utterances", 4, "--test-utterances", 4),
        ]
        result = CliRunner().invoke(main, [*map(str, arguments), "--max-eer-delta", "100"])
        assert result.exit_code == 0, result.output
        encoder = Encoder.load(package)
        embeddings.append(
            [
                encoder.embed(soundfile.read(path, dtype="float32")[0], 16_000)
                for path in sorted(speech.rglob("*.wav"))
            ]
        )
    for one, two in pairwise(embeddings):
        assert np.sum(np.multiply(one, two), axis=1).min() > 0.9999
