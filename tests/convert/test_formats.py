"""One network saved from three frameworks: the very same numbers arrive."""

import numpy as np
import pytest

from edge_unlock_convert.checkpoint import Options, read_here


def numbers(network):
    arrays = [
        array
        for layer in network.layers
        for array in (layer.input_weights, layer.recurrent_weights, layer.bias)
    ]
    return [*arrays, network.embedding[0].weights, network.embedding[0].bias]


@pytest.mark.filterwarnings("ignore")
def test_keras_pytorch_and_onnx_arrive_alike(network, checkpoint, state_dict, tmp_path):
    torch = pytest.importorskip("torch")
    keras = pytest.importorskip("tensorflow").keras
    first, second = network.layers

    class Encoder(torch.nn.Module):
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
    torch.onnx.export(Encoder().eval(), (example,), str(tmp_path / "m.onnx"), dynamo=False)
    layers = keras.layers
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
    model.save(tmp_path / "m.keras")
    expected = numbers(network)
    for path in (checkpoint, tmp_path / "m.onnx", tmp_path / "m.keras"):
        for found, wanted in zip(numbers(read_here(path, Options())), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
