"""What is read of a converted model, and what is refused as the converter's fault."""

import pytest

pytest.importorskip("tflite")

from edge_unlock_convert.errors import ConversionError
from edge_unlock_convert.quantization import flatbuffer
from edge_unlock_convert.quantization.lowering import lower
from edge_unlock_convert.quantization.ranges import lay_out


@pytest.fixture(scope="module")
def graphs(network, inputs):
    laid = lay_out(network, inputs, "minmax")
    return {
        scheme: flatbuffer.read(lower(network, laid, scheme))
        for scheme in ("dynamic", "int8", "float32")
    }


def test_a_model_of_integers_has_no_float_but_the_declared(graphs):
    assert graphs["int8"].tensor_types["int16"] == 2
    assert not graphs["int8"].states
    for scheme in ("dynamic", "float32"):
        with pytest.raises(ConversionError, match="of type float32"):
            flatbuffer.check(graphs[scheme], 2, "int8")


def test_dynamic_has_no_float_matrix(graphs):
    flatbuffer.check(graphs["dynamic"], 2, "dynamic")
    with pytest.raises(ConversionError, match=r"weights 'lstm0.0.weights' of type float32"):
        flatbuffer.check(graphs["float32"], 2, "dynamic")


def test_states_are_carried_over_in_pairs(graphs):
    names = [(before.name, after.name) for before, after in graphs["dynamic"].states]
    assert names == [
        (f"lstm{number}.{state}", f"lstm{number}.next_{state}")
        for number in (0, 1)
        for state in ("hidden", "cell")
    ]
    assert all(one.has_logit for one in graphs.values())


@pytest.mark.parametrize(
    ("scheme", "words"),
    [("int8", "2 fused LSTM operators for 3 layers"), ("dynamic", "4 states for 3 layers")],
)
def test_a_missing_layer_is_seen(graphs, scheme, words):
    with pytest.raises(ConversionError, match=words):
        flatbuffer.check(graphs[scheme], 3, scheme)


def test_an_operator_that_the_device_may_not_know_is_seen(graphs):
    strange = graphs["dynamic"].operators[0]._replace(name="CUSTOM")
    graph = graphs["dynamic"]._replace(operators=(strange, *graphs["dynamic"].operators[1:]))
    with pytest.raises(ConversionError, match="operators CUSTOM"):
        flatbuffer.check(graph, 2, "dynamic")


def test_a_state_of_another_shape_is_seen(graphs):
    graph = graphs["dynamic"]
    crossed = graph._replace(inputs=(graph.inputs[0], *reversed(graph.inputs[1:])))
    with pytest.raises(ConversionError, match=r"a state 'lstm0.hidden' of shape"):
        flatbuffer.check(crossed, 2, "dynamic")
