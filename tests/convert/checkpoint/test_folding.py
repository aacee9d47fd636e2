"""Layers fold into LSTM and dense layers: what comes out is what the layers compute one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_unlock_convert.checkpoint.folding import fold
from edge_unlock_convert.checkpoint.step import Affine, Lstm, Plain, Pool, Refused, Step
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.network import Network, pool, run
from tests.convert.conftest import make_lstm

GENERATOR = np.random.default_rng(5)
INPUTS, UNITS = 5, 6


def affine(inputs, outputs, part=False):
    weights = GENERATOR.normal(size=(outputs, inputs)).astype(np.float32)
    return Affine(weights, GENERATOR.normal(size=outputs).astype(np.float32), part)


def scaling(size):
    """A normalization: a scale and a shift for every feature."""
    one = affine(size, size)
    return Affine(np.diag(np.diag(one.weights)), one.bias, part=True)


def lstm(inputs=INPUTS, units=UNITS):
    return Lstm(make_lstm(GENERATOR, inputs, units))


RELU, UNIT, IDLE, SOFTMAX = (Plain(what) for what in ("relu", "unit", "idle", "softmax"))
MEAN, LAST = Pool("mean"), Pool("last")


def track(*forms):
    return [Step(f"layer{number}", "kind", form) for number, form in enumerate(forms)]


def computed(forms, steps):
    """What the layers compute one after the other, (T, D), or (D,) once the steps are pooled."""
    for form in forms:
        match form:
            case Lstm(layer):
                steps = recurrent(layer, steps)
            case Affine(weights, bias):
                steps = steps @ weights.T + bias
            case Pool(how):
                steps = steps[-1] if how == "last" else steps.mean(axis=0)
            case Plain("relu"):
                steps = np.maximum(steps, 0)
            case Plain("unit"):
                steps = steps / np.linalg.norm(steps)
    return steps


def recurrent(layer, steps):
    """The equations of an LSTM, written down once more."""
    hidden = cell = np.zeros(layer.units)
    made = []
    for step in steps:
        gates = layer.input_weights @ step + layer.recurrent_weights @ hidden + layer.bias
        i, f, g, o = np.split(gates, 4)
        cell = cell / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        hidden = np.tanh(cell) / (1 + np.exp(-o))
        made.append(hidden)
    return np.array(made)


@pytest.mark.parametrize(
    "forms",
    [
        [lstm()],
        [scaling(INPUTS), lstm()],
        [affine(INPUTS, 4), scaling(4), affine(4, 3), lstm(3)],
        [lstm(), scaling(UNITS), lstm(UNITS, 4)],
        [lstm(), affine(UNITS, 3, part=True), lstm(3, 4), affine(4, 2, part=True)],
        [lstm(), affine(UNITS, 3, part=True), affine(3, 4), lstm(4, 4), IDLE, affine(4, 2)],
        [lstm(), RELU, affine(UNITS, 3)],
        [lstm(), affine(UNITS, 4), RELU, affine(4, 3)],
        [lstm(), affine(UNITS, 4), RELU, scaling(4), affine(4, 3), scaling(3)],
        [lstm(), scaling(UNITS), RELU],
        [lstm(), affine(UNITS, 4), scaling(4), RELU],
        [lstm(), MEAN, affine(UNITS, 4), scaling(4), affine(4, 3)],
        [lstm(), affine(UNITS, 4), RELU, MEAN, affine(4, 3), UNIT, IDLE],
        [lstm(), LAST, affine(UNITS, 4), RELU, affine(4, 3), RELU, UNIT],
        [lstm(), scaling(UNITS), MEAN, affine(UNITS, 4)],
    ],
    ids=lambda forms: " ".join(
        getattr(f, "what", getattr(f, "how", type(f).__name__)) for f in forms
    ),
)
def test_folding_is_exact(forms):
    folded = fold(track(*forms))
    steps = GENERATOR.normal(size=(12, INPUTS)).astype(np.float32)
    found = next(iter(run(Network(folded.layers, folded.dense), [steps]))).embedding
    expected = computed(forms, steps)
    if folded.pooling is None:
        np.testing.assert_allclose(found, expected, atol=2e-5)
    else:
        unit = pool(found, None, folded.pooling)
        np.testing.assert_allclose(unit, expected / np.linalg.norm(expected), atol=2e-5)


KINDS = ("lstm", "dense", "scaling", "relu", "unit", "idle", "mean", "last")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(KINDS), max_size=8))
def test_any_order_of_layers_is_exact_or_refused(kinds):
    forms, size = [], INPUTS
    for kind in kinds:
        if kind == "lstm":
            forms.append(lstm(size))
        elif kind == "dense":
            forms.append(affine(size, 4))
        elif kind == "scaling":
            forms.append(scaling(size))
        else:
            forms.append(Pool(kind) if kind in ("mean", "last") else Plain(kind))
        size = {"lstm": UNITS, "dense": 4}.get(kind, size)
    try:
        folded = fold(track(*forms))
        network = Network(folded.layers, folded.dense)
    except CheckpointError:
        return
    steps = GENERATOR.normal(size=(7, INPUTS)).astype(np.float32)
    found = next(iter(run(network, [steps]))).embedding
    expected = computed(forms, steps)
    if folded.pooling is None:
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
        return
    mean = found[-1] if folded.pooling == "last" else found.mean(axis=0)
    if any(one == UNIT for one in forms) and np.linalg.norm(mean):
        mean = mean / np.linalg.norm(mean)
    np.testing.assert_allclose(mean, np.nan_to_num(expected), rtol=1e-3, atol=1e-4)


def test_a_normalization_costs_no_layer():
    folded = fold(track(scaling(INPUTS), lstm(), affine(UNITS, 3), scaling(3)))
    assert (len(folded.layers), len(folded.dense)) == (1, 1)


@pytest.mark.parametrize(
    "forms",
    [
        [affine(INPUTS, 4), RELU, lstm(4)],
        [lstm(), RELU, lstm(UNITS)],
        [LAST, lstm()],
        [lstm(), LAST, lstm(UNITS)],
        [lstm(), MEAN, affine(UNITS, 4), RELU],
        [lstm(), MEAN, LAST],
        [lstm(), LAST, UNIT, affine(UNITS, 4)],
        [lstm(), UNIT, MEAN],
        [lstm(), SOFTMAX, affine(UNITS, 4)],
    ],
    ids=range(9),
)
def test_what_would_not_be_exact_is_refused(forms):
    with pytest.raises(CheckpointError, match="the device cannot compute it") as caught:
        fold(track(*forms))
    assert "--embedding" in caught.value.hint


def test_refused_layers_say_why():
    with pytest.raises(CheckpointError, match="too wide"):
        fold(track(lstm(), Refused("too wide")))


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(CheckpointError, match="does not take the 4 numbers"):
        fold(track(affine(INPUTS, 4), lstm(3)))
    with pytest.raises(CheckpointError, match="of 3 inputs follows one of 4"):
        fold(track(lstm(), affine(UNITS, 4), scaling(3)))
