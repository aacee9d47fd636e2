"""The internal form: forward pass, pooling, what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.network import Dense, LstmLayer, Network, mean_step, pool, run
from tests.convert.conftest import make_dense, make_lstm


def test_forward_pass_is_that_of_pytorch(network, inputs, state_dict):
    torch = pytest.importorskip("torch")
    layers = []
    for number, layer in enumerate(network.layers):
        lstm = torch.nn.LSTM(layer.inputs, layer.units, batch_first=True)
        ends = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        lstm.load_state_dict({f"{end}_l0": state_dict[f"lstm.{end}_l{number}"] for end in ends})
        layers.append(lstm)
    for steps, found in zip(inputs, run(network, inputs), strict=True):
        hidden = torch.from_numpy(steps)[None]
        with torch.inference_mode():
            for lstm in layers:
                hidden, _ = lstm(hidden)
            embedding = hidden @ state_dict["embedding.weight"].T + state_dict["embedding.bias"]
        np.testing.assert_allclose(found.embedding, embedding[0].numpy(), atol=1e-5)


def test_neighbours_in_a_batch_change_nothing(network, inputs):
    together = list(run(network, inputs))
    for steps, found in zip(inputs, together, strict=True):
        alone = next(iter(run(network, [steps])))
        np.testing.assert_allclose(found.embedding, alone.embedding, atol=1e-5)
        assert len(found.embedding) == len(steps)


def test_pooling():
    steps = np.array([[3.0, 0.0], [0.0, 4.0]], np.float32)
    np.testing.assert_allclose(pool(steps, None, "last"), [0, 1])
    np.testing.assert_allclose(pool(steps, None, "mean"), [0.6, 0.8])
    logit = np.log(np.array([4.0, 3.0], np.float32))
    np.testing.assert_allclose(pool(steps, logit, "attention"), np.sqrt([0.5, 0.5]), rtol=1e-6)


def test_the_length_before_pooling_is_that_of_the_mean():
    steps = np.array([[3.0, 0.0], [0.0, 4.0]], np.float32)
    np.testing.assert_allclose(mean_step(steps, None, "last"), [0, 4])
    np.testing.assert_allclose(mean_step(steps, None, "mean"), [1.5, 2])
    logit = np.log(np.array([3.0, 1.0], np.float32))
    np.testing.assert_allclose(mean_step(steps, logit, "attention"), [2.25, 1], rtol=1e-6)


def test_pooling_of_no_direction_is_not_a_number():
    assert np.isnan(pool(np.zeros((3, 4), np.float32), None, "mean")).all()


def test_saved_network_loads_as_it_was(network, inputs, tmp_path):
    changed = replace(network, pooling="attention", notes=("a note",))
    changed.save(tmp_path / "network.npz")
    loaded = Network.load(tmp_path / "network.npz")
    assert (loaded.pooling, loaded.notes) == ("attention", ("a note",))
    for one, two in zip(run(network, inputs), run(loaded, inputs), strict=True):
        np.testing.assert_array_equal(one.embedding, two.embedding)


def test_counts(network):
    first, second = network.layers
    macs = 4 * 24 * (120 + 24) + 4 * 20 * (24 + 20) + 20 * 16 + 20
    assert network.macs == macs
    assert network.parameters == macs + 4 * 24 + 4 * 20 + 16 + 1
    assert (first.units, second.inputs, network.embedding_size) == (24, 24, 16)


def test_not_finite_is_refused(network):
    layer = network.layers[0]
    broken = layer.input_weights.copy()
    broken[3, 5] = np.nan
    with pytest.raises(CheckpointError, match="LSTM layer 1 holds weights that are not finite"):
        Network((LstmLayer(broken, layer.recurrent_weights, layer.bias),))


@pytest.mark.parametrize("inputs_of_second", [23, 25])
def test_layers_that_do_not_fit_are_refused(inputs_of_second):
    generator = np.random.default_rng(0)
    with pytest.raises(CheckpointError, match="LSTM layer 2"):
        Network((make_lstm(generator, 8, 24), make_lstm(generator, inputs_of_second, 4)))


def test_dense_that_does_not_fit_is_refused():
    generator = np.random.default_rng(0)
    with pytest.raises(CheckpointError, match="dense layer 1"):
        Network((make_lstm(generator, 8, 24),), (make_dense(generator, 23, 5),))


def test_attention_of_several_numbers_is_refused():
    generator = np.random.default_rng(0)
    with pytest.raises(CheckpointError, match="2 outputs"):
        Network((make_lstm(generator, 8, 4),), (), make_dense(generator, 4, 2))


def test_no_layer_is_refused():
    with pytest.raises(CheckpointError, match="0 LSTM layers"):
        Network(())


def test_relu_is_applied():
    generator = np.random.default_rng(0)
    layer = make_lstm(generator, 3, 4)
    below = Dense(np.zeros((2, 4), np.float32), np.array([-1, 1], np.float32), "relu")
    found = next(iter(run(Network((layer,), (below,)), [np.ones((2, 3), np.float32)])))
    np.testing.assert_array_equal(found.embedding, [[0, 1], [0, 1]])
