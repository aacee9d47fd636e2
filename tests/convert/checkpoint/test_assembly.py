"""Where a network ends, and that all that is unclear is said at once."""

import numpy as np
import pytest

from edge_unlock_convert.checkpoint.assembly import assemble
from edge_unlock_convert.checkpoint.options import Options
from edge_unlock_convert.checkpoint.step import Affine, Contents, Lstm, Plain, Pool, Refused, Step
from edge_unlock_convert.errors import CheckpointError
from tests.convert.conftest import make_dense, make_lstm

GENERATOR = np.random.default_rng(6)
UNITS = 6


def dense(name, inputs, outputs):
    made = make_dense(GENERATOR, inputs, outputs)
    return Step(name, "Dense", Affine(made.weights, made.bias))


def plain(name, what):
    return Step(name, what, Plain(what))


LSTM = Step("lstm", "LSTM", Lstm(make_lstm(GENERATOR, 5, UNITS)))
LAST = Step("lstm", "LSTM", Pool("last"))
FC, CLASSIFIER = dense("fc", UNITS, 4), dense("out", 4, 9)
NORM = Step("norm", "BatchNorm", Affine(np.eye(9, dtype=np.float32), np.ones(9, np.float32), True))
WEIGHER = dense("weigher", UNITS, 1)


def made(*tracks, **options):
    return assemble(Contents("test", tracks), Options(**options))


def refused(words, *tracks, **options):
    with pytest.raises(CheckpointError, match=words) as caught:
        made(*tracks, **options)
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("after", [[], [plain("dropout", "idle")]])
@pytest.mark.parametrize(
    "before", [[], [plain("fc", "relu")], [plain("fc", "relu"), plain("d", "idle")]]
)
@pytest.mark.parametrize("inside", [[], [NORM]])
def test_a_softmax_takes_its_classifier_with_it(before, inside, after):
    found = made((LSTM, LAST, FC, *before, CLASSIFIER, *inside, plain("out", "softmax"), *after))
    assert found.embedding_size == 4
    assert found.embedding[-1].activation == ("relu" if before else "linear")
    assert any("out (4 -> 9, softmax) was left behind" in note for note in found.notes)


def test_a_classifier_on_the_lstm_leaves_its_last_state():
    found = made((LSTM, LAST, dense("out", UNITS, 9), plain("out", "softmax")))
    assert (found.embedding, found.embedding_size, found.pooling) == ((), UNITS, "last")


def test_logits_after_a_relu_are_no_embedding_unasked():
    track = (LSTM, LAST, FC, plain("fc", "relu"), CLASSIFIER)
    error = refused(r"ends in 'out' \(4 -> 9\), which may be a classifier", track)
    assert "one of lstm, fc, out" in error.hint
    assert made(track, embedding=["fc"]).embedding[-1].activation == "relu"
    assert made(track, embedding=["fc"], activation=["linear"]).embedding[-1].activation == "linear"
    assert [one.activation for one in made(track, embedding=["out"]).embedding] == [
        "relu",
        "linear",
    ]


def test_a_layer_called_classifier_is_no_embedding_unasked():
    refused("may be a classifier", (LSTM, LAST, dense("speaker_logits", UNITS, 9)))


def test_what_is_taken_for_the_embedding_is_said():
    found = made((LSTM, LAST, FC))
    assert found.notes == ("assumed: the embedding is what fc gives (6 -> 4)",)


def test_activations_that_the_model_says_otherwise_are_refused():
    track = (LSTM, LAST, FC, plain("fc", "relu"), CLASSIFIER)
    names = ["fc", "out"]
    refused(
        "'fc' is followed by relu, not linear", track, embedding=names, activation=["linear"] * 2
    )
    straight = (LSTM, LAST, FC, CLASSIFIER)
    told = ["relu", "linear"]
    refused("followed by linear, not relu", straight, embedding=names, activation=told)
    refused("1 --activation were given for 2", track, embedding=names, activation=["relu"])
    assert made(track, embedding=names, activation=told).embedding_size == 9


@pytest.mark.parametrize("name", ["lstm", "fc"])
def test_an_earlier_end_keeps_the_pooling(name):
    mean = Step("mean", "GlobalAveragePooling1D", Pool("mean"))
    head = Step("odd", "Lambda", Refused("it is a program"))
    found = made((LSTM, FC, CLASSIFIER, mean, head), embedding=[name])
    assert found.pooling == "mean"
    assert found.embedding_size == (UNITS if name == "lstm" else 4)


def test_unknown_names_are_answered_with_those_there_are():
    error = refused("no layer 'fx' leads to the output", (LSTM, LAST, FC), embedding=["fx"])
    assert "lstm, fc" in error.hint
    refused("in another order", (LSTM, LAST, FC, CLASSIFIER), embedding=["out", "fc"])
    error = refused("--lstm names first; .* are lstm", (LSTM, LAST, FC), lstm=["first"])
    error = refused("weighed by a layer 'att'", (LSTM, LAST, FC), attention="att")
    assert "lstm, fc" in error.hint
    refused("no ReLU follows 'fc'", (LSTM, LAST, FC), embedding=["fc"], activation=["relu"])


def test_an_end_before_the_lstm_is_refused():
    track = (dense("early", 5, 5), LSTM, LAST, FC)
    refused("ends before its first LSTM", track, embedding=["early"])
    assert "are: lstm, fc." in refused("no layer 'x'", track, embedding=["x"]).hint


def test_several_outputs_are_told_apart():
    other = dense("other", UNITS, 7)
    refused("2 different outputs: fc, other", (LSTM, FC), (LSTM, other))
    assert made((LSTM, FC), (LSTM, other), embedding=["other"]).embedding_size == 7


@pytest.mark.parametrize("options", [{}, {"attention": "weigher"}])
def test_one_number_a_step_weighs_the_steps(options):
    found = made((LSTM, FC), (LSTM, WEIGHER), **options)
    np.testing.assert_array_equal(found.attention.weights, WEIGHER.form.weights)


def test_everything_unclear_is_said_at_once():
    odd = [Step(f"odd{n}", "Lambda", Refused(f"odd{n} is a program", f"hint {n}")) for n in (1, 2)]
    error = refused("odd1 is a program; odd2 is a program", (LSTM, odd[0], FC, odd[1]))
    assert "does not say how its steps become one embedding" in str(error)
    for words in ("hint 1", "hint 2", "--pooling"):
        assert words in error.hint


def test_without_an_lstm_the_reason_is_told():
    refused("no LSTM", (FC,))
    loop = Step("loop", "Loop", Refused("the LSTM is written out as a loop"))
    refused("^the LSTM is written out as a loop$", (loop, FC))
