"""The range of the input, and how sequences are laid out."""

import numpy as np
import pytest

from edge_unlock_convert.quantization.ranges import (
    MAX_STEPS,
    RANGES,
    clip_limit,
    lay_out,
    rounded,
)


@pytest.fixture
def heavy_tailed(network):
    """Inputs of which one in ten thousand is thirty times as large as the others."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(6, 100, network.input_size)).astype(np.float32)
    values[generator.random(values.shape) < 1e-4] *= 30
    return list(values)


def test_short_utterances_are_repeated_and_long_ones_cut(network):
    short = np.arange(3 * network.input_size, dtype=np.float32).reshape(3, -1)
    long = np.zeros((MAX_STEPS + 5, network.input_size), np.float32)
    laid = lay_out(network, [short, long], "minmax")
    assert laid.shape == (2, MAX_STEPS, network.input_size)
    np.testing.assert_array_equal(laid[0, 3:6], short)


@pytest.mark.parametrize("method", RANGES)
def test_every_method_stays_inside_of_the_values(network, heavy_tailed, method):
    top = max(np.abs(steps).max() for steps in heavy_tailed)
    limit = clip_limit(network, heavy_tailed, method)
    assert 0 < limit <= top
    assert np.abs(lay_out(network, heavy_tailed, method)).max() <= np.float32(limit)


def test_least_error_does_what_it_says(network, heavy_tailed):
    values = np.concatenate(heavy_tailed)

    def error(limit):
        return np.square(rounded(values, limit) - values).sum()

    limit = clip_limit(network, heavy_tailed, "mse")
    assert error(limit) < error(np.abs(values).max())
    assert limit < clip_limit(network, heavy_tailed, "minmax")


def test_rounding_is_that_of_the_device():
    values = np.linspace(-2, 6, 101).astype(np.float32)
    assert np.abs(rounded(values, 100) - values).max() <= 8 / 255 / 2 + 1e-6
    assert rounded(values, 1.0).max() <= 1.01
