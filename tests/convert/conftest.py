"""A tiny encoder and a handful of synthetic voices, made anew for every test run."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_unlock_convert.network import Dense, LstmLayer, Network

COEFFICIENTS, STACKED, UNITS, SIZE = 40, 3, 24, 16


def make_lstm(generator, inputs, units):
    """An LSTM layer with weights of the size that training gives them."""
    return LstmLayer(
        (generator.normal(size=(4 * units, inputs)) / np.sqrt(inputs)).astype(np.float32),
        (generator.normal(size=(4 * units, units)) / np.sqrt(units)).astype(np.float32),
        generator.normal(size=4 * units).astype(np.float32),
    )


def make_dense(generator, inputs, outputs, activation="linear"):
    return Dense(
        (generator.normal(size=(outputs, inputs)) / np.sqrt(inputs)).astype(np.float32),
        generator.normal(size=outputs).astype(np.float32),
        activation,
    )


@pytest.fixture(scope="session")
def network():
    """Two LSTM layers, an embedding and an attention output."""
    generator = np.random.default_rng(1)
    return Network(
        (
            make_lstm(generator, COEFFICIENTS * STACKED, UNITS),
            make_lstm(generator, UNITS, UNITS - 4),
        ),
        (make_dense(generator, UNITS - 4, SIZE),),
        make_dense(generator, UNITS - 4, 1),
    )


@pytest.fixture(scope="session")
def inputs():
    """Network inputs (T, F) of a few utterances of different lengths."""
    generator = np.random.default_rng(2)
    return [
        generator.normal(size=(length, COEFFICIENTS * STACKED)).astype(np.float32)
        for length in (30, 7, 51, 18)
    ]


@pytest.fixture(scope="session")
def speech(tmp_path_factory) -> Path:
    """Four voices, five utterances each: harmonics of their own pitch in noise."""
    root = tmp_path_factory.mktemp("speech")
    generator = np.random.default_rng(3)
    times = np.arange(16_000) / 16_000
    for speaker, pitch_hz in enumerate((95, 130, 180, 240)):
        folder = root / f"voice{speaker}"
        folder.mkdir()
        for take in range(5):
            phase = 2 * np.pi * pitch_hz * times * generator.uniform(0.95, 1.05)
            rhythm = np.sin(2 * np.pi * generator.uniform(2, 4) * times) ** 2
            voice = sum(np.sin(k * phase) / (k + speaker) for k in range(1, 20))
            samples = 0.1 * rhythm * voice + 0.01 * generator.normal(size=len(times))
            soundfile.write(folder / f"{take}.wav", samples, 16_000)
    return root


@pytest.fixture(scope="session")
def state_dict(network):
    """The network as PyTorch keeps it."""
    torch = pytest.importorskip("torch")
    state = {}
    for number, layer in enumerate(network.layers):
        state[f"lstm.weight_ih_l{number}"] = layer.input_weights
        state[f"lstm.weight_hh_l{number}"] = layer.recurrent_weights
        state[f"lstm.bias_ih_l{number}"] = layer.bias
        state[f"lstm.bias_hh_l{number}"] = np.zeros_like(layer.bias)
    for name, dense in (("embedding", network.embedding[0]), ("attention", network.attention)):
        state[f"{name}.weight"] = dense.weights
        state[f"{name}.bias"] = dense.bias
    return {name: torch.from_numpy(values.copy()) for name, values in state.items()}


@pytest.fixture(scope="session")
def checkpoint(state_dict, tmp_path_factory) -> Path:
    """The state dict in a file, as somebody else would give it."""
    torch = pytest.importorskip("torch")
    path = tmp_path_factory.mktemp("checkpoint") / "encoder.pt"
    torch.save(state_dict, path)
    return path


def assert_same(network, other, inputs):
    """Both networks compute the same."""
    from edge_unlock_convert.network import run

    for one, two in zip(run(network, inputs), run(other, inputs), strict=True):
        np.testing.assert_allclose(one.embedding, two.embedding, atol=2e-5)
        assert (one.logit is None) == (two.logit is None)
        if one.logit is not None:
            np.testing.assert_allclose(one.logit, two.logit, atol=2e-5)


@pytest.fixture(scope="session")
def package(checkpoint, speech, tmp_path_factory) -> Path:
    """The network as a package, made with the command that people use."""
    from click.testing import CliRunner

    from edge_unlock_convert.cli import main

    root = tmp_path_factory.mktemp("packages")
    (root / "training.json").write_text('{"data": "synthetic voices", "licence": "CC0"}')
    result = CliRunner().invoke(
        main,
        [
            *("quantize", str(checkpoint), "--out", str(root / "tiny"), "--speech", str(speech)),
            *("--training", str(root / "training.json"), "--max-eer-delta", "100"),
        ],
    )
    assert result.exit_code == 0, result.output
    return root / "tiny"
