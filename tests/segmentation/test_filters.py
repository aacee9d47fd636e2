import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import butter, iirnotch, sosfilt, sosfilt_zi, tf2sos

from edge_unlock.segmentation.filters import LinearFilter, high_pass, notch

RATE = 16000
BOTH = (*high_pass(60 / RATE, 4), notch(100 / RATE, 4 / RATE))


def noise(length, seed=0):
    return np.random.default_rng(seed).normal(0.1, 0.1, length).astype(np.float32)


@pytest.mark.parametrize(
    ("sections", "reference"),
    [
        (high_pass(60 / RATE, 4), butter(4, 60 / (RATE / 2), "highpass", output="sos")),
        (high_pass(80 / RATE, 8), butter(8, 80 / (RATE / 2), "highpass", output="sos")),
        ((notch(100 / RATE, 4 / RATE),), tf2sos(*iirnotch(100 / (RATE / 2), 100 / 4))),
    ],
)
def test_filters_are_those_of_the_textbooks(sections, reference):
    samples = noise(5000)
    expected, _ = sosfilt(
        reference, samples.astype(float), zi=sosfilt_zi(reference) * float(samples[0])
    )
    np.testing.assert_allclose(LinearFilter(sections).push(samples), expected, atol=1e-6)


@given(cuts=st.lists(st.integers(0, 3000), max_size=8), seed=st.integers(0, 2**32 - 1))
def test_the_result_does_not_depend_on_the_pieces(cuts, seed):
    samples = noise(3000, seed)
    whole, piecewise = LinearFilter(BOTH), LinearFilter(BOTH)
    pieces = [piecewise.push(piece) for piece in np.split(samples, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(pieces), whole.push(samples))


def test_reset_forgets_the_stream():
    one = LinearFilter(BOTH)
    first = one.push(noise(100))
    one.reset()
    np.testing.assert_array_equal(one.push(noise(100)), first)
