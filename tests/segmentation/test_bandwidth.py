import numpy as np
import pytest
import soxr

from edge_unlock.segmentation.bandwidth import bandwidth_hz
from tests import speech


def sixteen_bit(samples):
    return (np.round(np.clip(samples, -1, 1) * 32767) / 32768).astype(np.float32)


@pytest.mark.parametrize("gain", [1.0, 0.05])
@pytest.mark.parametrize("rate_hz", [8000, 11025, 12000])
def test_a_lower_rate_is_found_after_resampling(rate_hz, gain):
    for samples in speech.utterances(6):
        narrow = soxr.resample(gain * samples, 16000, rate_hz)
        again = sixteen_bit(soxr.resample(sixteen_bit(narrow), rate_hz, 16000))
        assert rate_hz / 2 - 1500 <= bandwidth_hz(again) <= rate_hz / 2 + 250


def test_wide_speech_reaches_up():
    assert all(bandwidth_hz(samples) >= 6000 for samples in speech.utterances(6))


def test_noise_of_the_room_counts():
    noise = np.random.default_rng(0).normal(0, 1e-3, 16000).astype(np.float32)
    assert bandwidth_hz(noise) == 8000


@pytest.mark.parametrize("samples", [np.zeros(16000, np.float32), np.zeros(100, np.float32)])
def test_silence_has_no_bandwidth(samples):
    assert bandwidth_hz(samples) == 0
