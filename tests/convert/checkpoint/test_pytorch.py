"""State dicts: what is read, and what is refused."""

import os
import pickle

import numpy as np
import pytest

from tests.convert.conftest import assert_same

torch = pytest.importorskip("torch")

from edge_unlock_convert.checkpoint import Options, read, read_here  # noqa: E402
from edge_unlock_convert.errors import CheckpointError  # noqa: E402
from edge_unlock_convert.network import run  # noqa: E402


@pytest.fixture
def save(tmp_path):
    def save(state):
        path = tmp_path / "encoder.pt"
        torch.save(state, path)
        return path

    return save


def test_plain(network, inputs, checkpoint):
    assert_same(read(checkpoint, Options()), network, inputs)


@pytest.mark.parametrize(
    "nest",
    [
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"state_dict": {f"model.{k}": v for k, v in state.items()}, "epoch": 3},
        lambda state: {"model_state": state, "optimizer_state": {"lr": 1}},
        lambda state: {f"_orig_mod.module.{name}": value for name, value in state.items()},
    ],
    ids=["DataParallel", "Lightning", "with optimizer", "compiled"],
)
def test_nesting(network, inputs, state_dict, save, nest):
    assert_same(read_here(save(nest(state_dict)), Options()), network, inputs)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("dense", [True, False], ids=["dense", "no dense"])
def test_projection_is_folded_exactly(save, layers, dense):
    torch.manual_seed(5)
    lstm = torch.nn.LSTM(10, 16, layers, batch_first=True, proj_size=6)
    head = torch.nn.Linear(6, 4)
    state = {f"lstm.{name}": value for name, value in lstm.state_dict().items()}
    state |= {f"fc.{name}": value for name, value in head.state_dict().items()} if dense else {}
    found = read_here(save(state), Options(pooling="mean"))
    steps = torch.randn(1, 40, 10)
    with torch.inference_mode():
        expected = head(lstm(steps)[0]) if dense else lstm(steps)[0]
    embedding = next(iter(run(found, [steps[0].numpy()]))).embedding
    np.testing.assert_allclose(embedding, expected[0].numpy(), atol=1e-5)
    assert "multiplications a step instead of" in found.notes[0]


def test_no_bias(save):
    lstm = torch.nn.LSTM(10, 8, bias=False, batch_first=True)
    found = read_here(save(lstm.state_dict()), Options())
    steps = torch.randn(1, 12, 10)
    embedding = next(iter(run(found, [steps[0].numpy()]))).embedding
    np.testing.assert_allclose(embedding, lstm(steps)[0][0].detach().numpy(), atol=1e-5)


def test_several_modules_are_asked_for_and_taken_in_order(save):
    first, second = torch.nn.LSTM(10, 8, batch_first=True), torch.nn.LSTM(8, 8, batch_first=True)
    state = {f"b.{name}": value for name, value in first.state_dict().items()}
    state |= {f"a.{name}": value for name, value in second.state_dict().items()}
    path = save(state)
    with pytest.raises(CheckpointError, match="several LSTM modules: b, a"):
        read_here(path, Options())
    found = read_here(path, Options(lstm=["b", "a"]))
    steps = torch.randn(1, 12, 10)
    expected = second(first(steps)[0])[0][0].detach().numpy()
    embedding = next(iter(run(found, [steps[0].numpy()]))).embedding
    np.testing.assert_allclose(embedding, expected, atol=1e-5)


def test_leftovers_are_an_error_until_dropped(state_dict, save):
    path = save({**state_dict, "similarity": torch.ones(3)})
    with pytest.raises(CheckpointError, match="no layer uses: similarity"):
        read_here(path, Options())
    read_here(path, Options(drop=["similarity"]))


def test_several_dense_layers_are_asked_for(state_dict, save):
    path = save({**state_dict, "classifier.weight": torch.ones(30, 20)})
    with pytest.raises(
        CheckpointError, match=r"embedding \(20 -> 16\), classifier \(20 -> 30\)"
    ) as caught:
        read_here(path, Options())
    assert "--embedding" in caught.value.hint
    options = Options(embedding=["embedding"], attention="attention", drop=["classifier.weight"])
    assert read_here(path, options).embedding_size == 16


def encoded(found, steps):
    return next(iter(run(found, [steps[0].numpy()]))).embedding


def states(**modules):
    return {
        f"{name}.{own}": one
        for name, module in modules.items()
        for own, one in module.state_dict().items()
    }


def test_numbered_modules_follow_each_other(save):
    torch.manual_seed(1)
    first, second = torch.nn.LSTM(10, 8, batch_first=True), torch.nn.LSTM(8, 6, batch_first=True)
    found = read_here(save(states(lstm1=first, lstm2=second)), Options())
    steps = torch.randn(1, 12, 10)
    expected = second(first(steps)[0])[0][0].detach().numpy()
    np.testing.assert_allclose(encoded(found, steps), expected, atol=1e-5)
    assert "assumed: the LSTM modules follow each other: lstm1, then lstm2" in found.notes


def test_a_cell_is_an_lstm(save):
    torch.manual_seed(1)
    cell = torch.nn.LSTMCell(10, 8)
    found = read_here(save(states(cell=cell)), Options())
    steps, expected, state = torch.randn(1, 12, 10), [], None
    for step in steps[0]:
        state = cell(step[None], state)
        expected.append(state[0][0].detach().numpy())
    np.testing.assert_allclose(encoded(found, steps), expected, atol=1e-5)


def test_every_layer_can_be_named_with_what_follows_it(save):
    """A dense layer and a normalization before the LSTM; two layers with a ReLU between after."""
    torch.manual_seed(1)
    norm, dense = torch.nn.BatchNorm1d(10), torch.nn.Linear(10, 7)
    lstm = torch.nn.LSTM(7, 8, batch_first=True)
    fc, bn, head = torch.nn.Linear(8, 5), torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 4)
    for one in (norm, bn):
        one(torch.randn(50, one.num_features) * 3 + 1)
        torch.nn.init.normal_(one.weight)
        torch.nn.init.normal_(one.bias)
        one.eval()
    path = save(states(norm=norm, dense=dense, lstm=lstm, fc=fc, bn=bn, head=head))
    refused(path, "several dense layers: dense .10 -> 7., fc .8 -> 5., head .5 -> 4.")
    options = Options(
        lstm=["norm", "dense", "lstm"],
        embedding=["fc", "bn", "head"],
        activation=["relu", "linear", "linear"],
    )
    steps = torch.randn(1, 12, 10)
    hidden = lstm(dense(norm(steps[0])[None]))[0][0]
    expected = head(bn(torch.relu(fc(hidden)))).detach().numpy()
    found = read_here(path, options)
    np.testing.assert_allclose(encoded(found, steps), expected, atol=1e-5)
    assert "assumed: BatchNorm has PyTorch's own epsilon, 1e-05" in found.notes


def test_the_relu_between_two_layers_is_never_guessed(save):
    torch.manual_seed(1)
    modules = states(
        lstm=torch.nn.LSTM(10, 8), fc=torch.nn.Linear(8, 5), head=torch.nn.Linear(5, 4)
    )
    path = save(modules)
    with pytest.raises(CheckpointError, match="does not say what follows its layers") as caught:
        read_here(path, Options(embedding=["fc", "head"]))
    assert "--embedding fc --activation relu --embedding head --activation linear" in (
        caught.value.hint
    )
    found = read_here(path, Options(embedding=["fc", "head"], activation=["relu", "linear"]))
    assert [one.activation for one in found.embedding] == ["relu", "linear"]


def test_a_head_after_the_embedding_is_left_behind(save):
    modules = states(
        lstm=torch.nn.LSTM(10, 8), fc=torch.nn.Linear(8, 5), head=torch.nn.Linear(5, 40)
    )
    found = read_here(save(modules), Options(embedding=["fc"], activation=["relu"]))
    assert found.embedding_size == 5
    assert "left behind, after the embedding: head (5 -> 40)" in found.notes
    assert read_here(save(modules), Options(embedding=["lstm"])).embedding_size == 8


def test_what_may_stand_before_the_lstm_is_not_left_behind(save):
    modules = states(
        dense=torch.nn.Linear(10, 7), lstm=torch.nn.LSTM(7, 8), fc=torch.nn.Linear(8, 5)
    )
    refused(save(modules), "no layer uses: dense.weight", embedding=["fc"])
    del modules["fc.weight"], modules["fc.bias"]
    refused(save(modules), "dense .10 -> 7. does not read what the LSTM gives, 8 numbers")


def test_a_table_of_tokens_is_not_left_behind(save):
    modules = states(tokens=torch.nn.Embedding(90, 8), lstm=torch.nn.LSTM(8, 8))
    modules |= states(fc=torch.nn.Linear(8, 3))
    refused(save(modules), "no layer uses: tokens.weight", embedding=["lstm"])


def test_layers_that_cannot_be_folded_are_not_advised_to_be_dropped(save):
    path = save(
        states(lstm=torch.nn.LSTM(10, 8), ln=torch.nn.LayerNorm(8), fc=torch.nn.Linear(8, 5))
    )
    with pytest.raises(CheckpointError, match="as a LayerNorm does") as caught:
        read_here(path, Options())
    assert caught.value.hint.startswith("Train the encoder without it")


def test_an_order_of_normalizations_is_asked_for(save):
    path = save(
        states(lstm=torch.nn.LSTM(10, 8), fc=torch.nn.Linear(8, 5), bn=torch.nn.BatchNorm1d(5))
    )
    refused(path, "does not say where its normalizations stand: bn")


def test_a_loss_is_left_behind(state_dict, save):
    state = {f"encoder.{name}": one for name, one in state_dict.items()}
    state |= {"loss.w": torch.tensor(10.0), "loss.b": torch.tensor(-5.0)}
    path = save({"state_dict": state})
    found = read_here(path, Options())
    assert "left behind, as parts of the loss: loss.w, loss.b" in found.notes
    assert not any("loss" in note for note in read_here(path, Options(drop=["loss"])).notes)


def refused(path, words, **options):
    with pytest.raises(CheckpointError, match=words) as caught:
        read_here(path, Options(**options))
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_bidirectional_is_refused_in_these_words_whatever_follows(save):
    lstm, dense = torch.nn.LSTM(4, 4, bidirectional=True), torch.nn.Linear(8, 3)
    with pytest.raises(CheckpointError, match=r"^the LSTM is bidirectional") as caught:
        read_here(save(states(lstm=lstm, fc=dense)), Options(pooling="last"))
    assert "does not read" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda weights: weights.to(torch.int8), "int8"),
        (lambda weights: weights.to(torch.complex64), "complex64"),
        (lambda weights: weights.to_sparse(), "sparse float32"),
    ],
)
def test_numbers_that_are_no_floats_are_no_weights(state_dict, save, changed, words):
    state = {**state_dict, "embedding.weight": changed(state_dict["embedding.weight"])}
    refused(save(state), f"embedding.weight holds {words} numbers")


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("way", ["parametrized", "old"])
@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
def test_weight_norm_is_multiplied_out(save, way, dim):
    torch.manual_seed(2)
    norm = (
        torch.nn.utils.parametrizations.weight_norm
        if way == "parametrized"
        else torch.nn.utils.weight_norm
    )
    lstm = torch.nn.LSTM(10, 8, batch_first=True)
    dense = norm(torch.nn.Linear(8, 6), dim=dim)
    state = states(lstm=norm(lstm, "weight_hh_l0"), fc=dense)
    state = {name: one * 1.5 if name.endswith(("_g", "original0")) else one
             for name, one in state.items()}  # fmt: skip
    found = read_here(save(state), Options(pooling="mean"))
    lstm.load_state_dict({n[5:]: one for n, one in state.items() if n.startswith("lstm.")})
    dense.load_state_dict({n[3:]: one for n, one in state.items() if n.startswith("fc.")})
    steps = torch.randn(1, 12, 10)
    with torch.inference_mode():
        expected = dense(lstm(steps)[0])[0].numpy()
    np.testing.assert_allclose(encoded(found, steps), expected, atol=1e-5)


def test_bidirectional_is_refused(save):
    refused(save(torch.nn.LSTM(4, 4, bidirectional=True).state_dict()), "bidirectional")


def test_gru_is_refused(save):
    refused(save(torch.nn.GRU(4, 4).state_dict()), "GRU")


def test_convolution_is_refused(save):
    refused(save(torch.nn.Conv2d(1, 4, 3).state_dict()), "no LSTM")


def test_convolution_beside_an_lstm_is_refused(state_dict, save):
    refused(save({**state_dict, "front.weight": torch.ones(3, 3, 3)}), "no dense layer")


def test_missing_tensor_is_named(state_dict, save):
    state = {name: one for name, one in state_dict.items() if name != "lstm.weight_hh_l0"}
    refused(save(state), "no tensor 'lstm.weight_hh_l0'")


class Bomb:
    """Its unpickling makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_programs_are_never_run(tmp_path, how):
    mark = tmp_path / "executed"
    path = tmp_path / "bomb.pt"
    if how == "torch":
        torch.save({"lstm.weight_ih_l0": Bomb(str(mark))}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(str(mark))))
    refused(path, "Python objects")
    assert not mark.exists()


def test_programs_beside_tensors_are_not_run(network, inputs, state_dict, tmp_path):
    mark = tmp_path / "executed"
    torch.save({"state_dict": state_dict, "hook": Bomb(str(mark))}, tmp_path / "trainer.ckpt")
    assert_same(read_here(tmp_path / "trainer.ckpt", Options()), network, inputs)
    assert not mark.exists()


def test_truncated(checkpoint, tmp_path):
    path = tmp_path / "cut.pt"
    path.write_bytes(checkpoint.read_bytes()[:-2000])
    refused(path, "damaged")


def test_text(tmp_path):
    path = tmp_path / "notes.pt"
    path.write_text("these are no weights")
    refused(path, "damaged|Python objects")


def test_absent(tmp_path):
    refused(tmp_path / "nothing.pt", "No such file")


def test_unpacked_size_is_capped(checkpoint, monkeypatch):
    monkeypatch.setattr("edge_unlock_convert.checkpoint.MAX_CHECKPOINT_BYTES", 5000)
    refused(checkpoint, "larger than")
