"""How far the numbers of a network go, and how they hang together."""

from dataclasses import replace

import numpy as np

from edge_unlock_convert.network import run, run_lstm
from edge_unlock_convert.quantization.statistics import BITS, Span, measure


def test_spans_hold_all_that_the_network_computes(network, inputs):
    sequences = np.stack([np.resize(steps, (40, steps.shape[1])) for steps in inputs] * 10)
    found = measure(network, sequences)
    outputs = list(run(network, list(sequences)))
    pairs = [(found.inputs, sequences), (found.attention, [one.logit for one in outputs])]
    pairs += [
        (span, [one.hidden[number] for one in outputs]) for number, span in enumerate(found.hidden)
    ]
    pairs.append((found.embedding[-1], [one.embedding for one in outputs]))
    for span, values in pairs:
        low, high = np.min(values), np.max(values)
        assert span.low <= min(low, 0) <= span.low + 0.001 * (high - low)
        assert span.high >= max(high, 0) >= span.high - 0.001 * (high - low)
    reach = run_lstm(network.layers[0], sequences)[1]
    assert reach <= found.cells[0] <= 1.001 * reach


def test_moments_are_the_mean_products_of_what_a_layer_takes(network, inputs):
    sequences = np.stack([np.resize(steps, (40, steps.shape[1])) for steps in inputs] * 10)
    found = measure(network, sequences)
    outputs = list(run(network, list(sequences)))
    taken = list(sequences)
    for number, moments in enumerate(found.lstm_moments):
        states = [one.hidden[number] for one in outputs]
        before = [np.vstack([np.zeros_like(one[:1]), one[:-1]]) for one in states]
        ones = np.ones((len(taken) * 40, 1))
        rows = np.hstack([np.concatenate(taken), np.concatenate(before), ones])
        assert np.allclose(moments, rows.T @ rows / len(rows), rtol=1e-3, atol=1e-5)
        taken = states
    rows = np.hstack([np.concatenate(taken), ones])
    wanted = rows.T @ rows / len(rows)
    assert np.allclose(found.attention_moments, wanted, rtol=1e-3, atol=1e-5)
    assert np.allclose(found.embedding_moments[0], wanted, rtol=1e-3, atol=1e-5)


def test_the_last_bits_of_the_forward_pass_change_no_span(network, inputs):
    sequences = np.stack([inputs[2]])
    nudged = replace(
        network,
        layers=tuple(
            replace(layer, bias=layer.bias * np.float32(1 + 1e-6)) for layer in network.layers
        ),
    )
    assert measure(network, sequences)[:5] == measure(nudged, sequences)[:5]


def test_a_span_contains_zero_and_rounds_outwards():
    span = Span().over(np.array([0.1234567, 0.7654321], np.float32)).rounded()
    assert span.low == 0
    assert 0.7654321 <= span.high <= 0.7654321 * (1 + 2.0 ** (1 - BITS))
    assert span.rounded() == span
