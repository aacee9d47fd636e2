"""Networks of both kinds, and files that are none."""

import numpy as np
import pytest

pytest.importorskip("tflite")

from edge_unlock.encoder.network import Network
from edge_unlock.errors import ModelError
from edge_unlock_convert.quantization.lowering import SCHEMES, lower
from edge_unlock_convert.quantization.ranges import lay_out
from edge_unlock_convert.quantization.writer import Writer
from tests.convert.conftest import SIZE, inputs, network  # noqa: F401

WIDTH = 120


@pytest.fixture(scope="module", params=list(SCHEMES))
def model(request, network, inputs):  # noqa: F811
    return lower(network, lay_out(network, inputs, "minmax"), request.param)


def run(net, steps):
    return np.stack([np.append(*net.step(one)) for one in steps])


def test_the_state_is_carried_from_step_to_step_until_reset(model, inputs):  # noqa: F811
    net = Network(model, WIDTH, SIZE, attention=True)
    first = run(net, inputs[0])
    assert not np.allclose(run(net, inputs[0][:3]), first[:3], atol=1e-3)
    net.reset()
    np.testing.assert_array_equal(run(net, inputs[0]), first)


def test_two_networks_do_not_share_their_state(model, inputs):  # noqa: F811
    net, other = (Network(model, WIDTH, SIZE, attention=True) for _ in range(2))
    first = run(net, inputs[0])
    run(other, inputs[1])
    net.reset()
    np.testing.assert_array_equal(run(net, inputs[0]), first)


def test_nothing_is_said_on_standard_error(model, capfd):
    Network(model, WIDTH, SIZE, attention=True)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("width", "size"), [(WIDTH, SIZE + 1), (WIDTH + 1, SIZE)])
def test_a_network_of_another_size_is_refused(model, width, size):
    with pytest.raises(ModelError) as caught:
        Network(model, width, size, attention=True)
    assert "\n" not in str(caught.value) and caught.value.hint


@pytest.mark.parametrize("file", [b"", b"no model"])
def test_what_is_no_network_is_refused(file):
    with pytest.raises(ModelError, match="does not run"):
        Network(file, WIDTH, SIZE, attention=True)


def made(states=(), following=(), heads=(SIZE, 1), dtype=np.float32):
    """A file whose outputs are constants, of these sizes or shapes; ``dtype`` is its input's."""
    writer = Writer("2.3.0")
    taken = [writer.activation("steps", (1, 1, WIDTH), dtype, None)]
    taken += [writer.activation(f"state{n}", (1, 1, n), np.float32, None) for n in states]
    given = []
    for place, size in enumerate((*heads, *following)):
        shape = size if isinstance(size, tuple) else (1, 1, size)
        zeros = writer.constant(f"zeros{place}", np.zeros(shape, np.float32))
        given.append(writer.activation(f"out{place}", shape, np.float32, None))
        writer.elementwise("TANH", [zeros], given[-1])
    return writer.finish(taken, given)


def test_states_follow_the_features_and_the_heads():
    net = Network(made((5, 7), (5, 7)), WIDTH, SIZE, attention=True)
    net.step(np.zeros(WIDTH, np.float32))
    assert [state.shape for state in net.states] == [(5,), (7,)]


def test_states_are_zero_after_reset(model, inputs):  # noqa: F811
    net = Network(model, WIDTH, SIZE, attention=True)
    run(net, inputs[0])
    net.reset()
    assert not any(state.any() for state in net.states)


def test_the_embedding_may_come_behind_the_logit_and_be_one_number():
    for heads, size in (((1, SIZE), SIZE), ((1, 1), 1)):
        step = Network(made(heads=heads), WIDTH, size, attention=True).step(np.zeros(WIDTH))
        assert step.embedding.shape == (size,)


@pytest.mark.parametrize(
    "file",
    [
        made((5, 7), (7, 5)),
        made((5, 7), (5,)),
        made((5, 7, SIZE), (), ()),
        made(heads=(3, 1)),
        made((5,), (5,), (SIZE,)),
        made(heads=(SIZE, SIZE)),
        made(heads=(SIZE, 1, 1)),
        made(heads=((1, 2, SIZE), 1)),
        made(heads=(SIZE, (1, 2, 1))),
        made(dtype=np.int8),  # without a scale
        made(dtype=np.int16),
        made(dtype=np.int32),
    ],
)
def test_a_network_that_gives_or_takes_something_else_is_refused(file):
    with pytest.raises(ModelError, match="inputs or outputs are not those") as caught:
        Network(file, WIDTH, SIZE, attention=True)
    assert caught.value.hint


def test_a_logit_is_not_taken_for_an_embedding():
    with pytest.raises(ModelError, match="inputs or outputs are not those"):
        Network(made(), WIDTH, 1, attention=True)
