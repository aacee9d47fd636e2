import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_unlock.segmentation.conditioning import Conditioner
from tests import speech

RATE = 16000


def hum(hz, seconds, level=0.03):
    """Mains hum with overtones, as cheap supplies make it."""
    phase = 2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE
    return (level * sum(a * np.sin(k * phase + k) for k, a in ((1, 1), (2, 0.5), (3, 0.2)))).astype(
        np.float32
    )


def voice(seconds=4):
    joined = np.concatenate(speech.utterances(4))
    return (0.3 / np.abs(joined).max() * joined)[: seconds * RATE].astype(np.float32)


def level_db(samples):
    return 10 * np.log10(np.mean(np.square(samples)) + 1e-20)


def test_an_offset_vanishes_from_the_first_sample():
    assert np.abs(Conditioner().push(np.full(RATE, 0.1, np.float32))).max() < 1e-6


@pytest.mark.parametrize("mains_hz", [50, 60, 49.95, 60.05])
def test_hum_is_gone_within_a_second_and_stays_away_under_a_voice(mains_hz):
    room = np.random.default_rng(0).normal(0, 3e-4, 2 * RATE).astype(np.float32)
    clean = np.concatenate([room, voice()])
    noise = hum(mains_hz, clean.size / RATE)
    # both are heard through the same notches: what differs is what is left of the hum
    softer, louder = Conditioner().push(clean + noise), Conditioner().push(clean + 2 * noise)
    assert level_db((louder - softer)[RATE:]) < level_db(noise) - 25


@pytest.mark.parametrize("seed", range(5))
def test_without_hum_nothing_but_the_high_pass_runs(seed):
    noise = np.random.default_rng(seed).normal(0, 0.01, 20 * RATE).astype(np.float32)
    noise[5 * RATE : 9 * RATE] += voice()
    conditioner = Conditioner()
    heard = conditioner.push(noise)
    again = np.concatenate([Conditioner().push(noise[:RATE]), heard[RATE:]])
    np.testing.assert_array_equal(again, heard)
    assert level_db(heard) == pytest.approx(level_db(noise), abs=0.3)
    tone = np.fft.rfft(heard)[[1000 * k for k in (2, 3, 4)]]  # 100, 150 and 200 Hz
    assert np.abs(tone).min() > 1e-3


@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 40000), max_size=8))
def test_the_division_into_pieces_does_not_matter(cuts):
    samples = hum(50, 2.5) + np.random.default_rng(0).normal(0, 1e-3, 40000).astype(np.float32)
    one, other = Conditioner(), Conditioner()
    pieces = [other.push(piece) for piece in np.split(samples, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(pieces), one.push(samples))


def test_reset_forgets_the_hum():
    conditioner = Conditioner()
    conditioner.push(hum(50, 2))
    conditioner.reset()
    np.testing.assert_array_equal(conditioner.push(voice()), Conditioner().push(voice()))
