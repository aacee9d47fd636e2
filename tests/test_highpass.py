import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt, sosfilt_zi

from edge_unlock.highpass import CUTOFF_HZ, ORDER, HighPass

RATE = 16000


def noise(length, seed=0):
    return np.random.default_rng(seed).normal(0.1, 0.1, length).astype(np.float32)


def test_it_is_the_butterworth_filter_of_the_textbooks():
    samples = noise(5000)
    sections = butter(ORDER, CUTOFF_HZ / (RATE / 2), "highpass", output="sos")
    start = sosfilt_zi(sections) * float(samples[0])
    expected, _ = sosfilt(sections, samples.astype(float), zi=start)
    np.testing.assert_allclose(HighPass(RATE).push(samples), expected, atol=1e-6)


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 3000), max_size=8), seed=st.integers(0, 2**32 - 1))
def test_the_result_does_not_depend_on_the_pieces(cuts, seed):
    samples = noise(3000, seed)
    whole, piecewise = HighPass(RATE), HighPass(RATE)
    pieces = [piecewise.push(piece) for piece in np.split(samples, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(pieces), whole.push(samples))


def test_an_offset_vanishes_from_the_first_sample():
    offset = np.full(RATE, 0.1, np.float32)
    assert np.abs(HighPass(RATE).push(offset)).max() < 1e-6


@pytest.mark.parametrize(("hz", "loss_db"), [(50, 30), (60, 18), (20, 90)])
def test_hum_is_taken_out(hz, loss_db):
    hum = np.sin(2 * np.pi * hz * np.arange(2 * RATE) / RATE).astype(np.float32)
    rest = HighPass(RATE).push(hum)[RATE:]
    assert 20 * np.log10(np.abs(rest).max()) < -loss_db


@pytest.mark.parametrize("hz", [120, 300, 3000])
def test_voices_pass(hz):
    tone = np.sin(2 * np.pi * hz * np.arange(2 * RATE) / RATE).astype(np.float32)
    rest = HighPass(RATE).push(tone)[RATE:]
    assert abs(20 * np.log10(rest.std() / tone.std())) < 0.2


def test_reset_forgets_the_stream():
    high_pass = HighPass(RATE)
    first = high_pass.push(noise(100))
    high_pass.reset()
    np.testing.assert_array_equal(high_pass.push(noise(100)), first)
