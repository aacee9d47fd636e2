"""Rounding that later columns make up for: what it costs the sum on inputs that hang together."""

import numpy as np
import pytest

from edge_unlock_convert.quantization.rounding import INT8_LIMIT, Carry, compensated, scale_of

INPUTS, OUTPUTS, ROWS = 150, 20, 4000


@pytest.fixture
def problem():
    """Inputs of 20 causes and a mean, weights, scales: what a layer of an LSTM takes."""
    rng = np.random.default_rng(5)
    causes = rng.standard_normal((ROWS, 20))
    inputs = causes @ rng.standard_normal((20, INPUTS)) + rng.standard_normal(INPUTS)
    inputs += 0.1 * rng.standard_normal(inputs.shape)
    weights = rng.standard_normal((OUTPUTS, INPUTS))
    bias = rng.standard_normal(OUTPUTS)
    return inputs, weights, bias, np.array([np.abs(weights).max() / INT8_LIMIT, 0.05])


def side_by_side(weights):
    """The first hundred columns, and the rest: matrices with a scale each."""
    return np.split(weights, [100], axis=1)


def carry_of(inputs):
    rows = np.column_stack([inputs, np.ones(len(inputs))])
    return Carry.of(rows.T @ rows / len(rows))


def test_the_error_of_the_sum_is_a_fraction_of_that_of_rounding_alone(problem):
    inputs, weights, bias, scales = problem
    exact = inputs @ weights.T + bias
    steps = np.repeat(scales, [100, INPUTS - 100])
    alone = inputs @ (np.rint(weights / steps) * steps).T + bias
    parts, fitted = compensated(side_by_side(weights), bias, scales, carry_of(inputs))
    integers = np.hstack(parts)
    found = inputs @ (integers * steps).T + fitted
    assert integers.dtype == np.int8 and np.abs(integers.astype(int)).max() <= INT8_LIMIT
    assert np.square(found - exact).mean() < 0.1 * np.square(alone - exact).mean()
    assert np.abs((found - exact).mean(axis=0)).max() < 0.01 * np.abs(alone - exact).max()


def test_what_is_an_integer_already_stays(problem):
    inputs, _, bias, scales = problem
    whole = np.random.default_rng(1).integers(-127, 128, (OUTPUTS, INPUTS))
    steps = np.repeat(scales, [100, INPUTS - 100])
    parts, fitted = compensated(side_by_side(whole * steps), bias, scales, carry_of(inputs))
    assert np.array_equal(np.hstack(parts), whole) and np.allclose(fitted, bias, rtol=0, atol=1e-12)


def test_of_a_constant_input_the_bias_takes_up_the_error():
    carry = carry_of(np.ones((10, 1)))
    integers, fitted = compensated([np.array([[0.4]])], np.array([2.0]), [1.0], carry)
    assert integers[0].tolist() == [[0]]
    assert fitted[0] == pytest.approx(2.4, abs=0.02)


def test_inputs_that_were_never_heard_are_rounded_to_the_nearest():
    carry = carry_of(np.zeros((10, 3)))
    weights = np.array([[0.6, -1.4, 2.2]])
    integers, fitted = compensated([weights], np.zeros(1), [1.0], carry)
    assert integers[0].tolist() == [[1, -1, 2]] and fitted[0] == 0


def test_the_integers_do_not_hang_on_the_last_bits(problem):
    inputs, weights, bias, scales = problem
    nudged = inputs * (1 + 1e-13 * np.random.default_rng(2).standard_normal(inputs.shape))
    first, _ = compensated(side_by_side(weights), bias, scales, carry_of(inputs))
    second, _ = compensated(side_by_side(weights), bias, scales, carry_of(nudged))
    assert all(map(np.array_equal, first, second))


def test_each_row_may_have_its_own_scale(problem):
    """The error of a row follows its own largest weight, not that of its neighbours."""
    inputs, weights, bias, _ = problem
    weights = weights * np.logspace(-3, 0, OUTPUTS)[:, None]
    exact = inputs @ weights.T + bias
    power = (inputs @ weights.T).std(axis=0)
    errors = []
    for axis in (None, 1):
        scale = scale_of(weights, axis)
        (integers,), fitted = compensated([weights], bias, [scale], carry_of(inputs))
        errors.append((inputs @ (integers * scale).T + fitted - exact).std(axis=0) / power)
    assert errors[1].max() < 0.01 < 0.1 < errors[0].max()


def test_a_scale_reaches_the_largest_weight_and_is_never_zero():
    weights = np.array([[0.5, -2.0], [0.0, 0.0]], np.float32)
    assert scale_of(weights) * INT8_LIMIT == pytest.approx(2.0)
    rows = scale_of(weights, axis=1)
    assert rows.shape == (2, 1) and rows[0] * INT8_LIMIT == pytest.approx(2.0) and rows[1] > 0
