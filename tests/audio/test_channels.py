import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_unlock.audio.channels import ChannelChooser
from tests import speech

RATE = 16000
RNG = np.random.default_rng(0)


def voice():
    (samples,) = speech.utterances(1)
    return (0.3 / np.abs(samples).max() * samples)[: 2 * RATE]


def hum(length):
    return (0.2 * np.sin(2 * np.pi * 50 * np.arange(length) / RATE)).astype(np.float32)


def choose(*channels):
    chooser = ChannelChooser(len(channels), RATE)
    return np.concatenate([chooser.push(np.stack(channels, axis=1)), chooser.flush()])


@pytest.mark.parametrize(
    "other",
    [
        lambda voice: 0 * voice,
        lambda voice: -voice,
        lambda voice: RNG.normal(0, 1e-3, voice.size).astype(np.float32),
        lambda voice: hum(voice.size),
        lambda voice: np.clip(20 * voice, -1, 1),
        lambda voice: np.full_like(voice, 0.5),
    ],
    ids=["dead", "inverted", "noisy", "humming", "clipped", "offset"],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_bad_channel_does_not_spoil_the_other(other, first):
    good = voice()
    bad = other(good)
    heard = choose(good, bad) if first else choose(bad, good)
    later = slice(RATE, None)  # the first word decides for a channel
    similarity = np.corrcoef(np.abs(heard[later]), np.abs(good[later]))[0, 1]
    assert similarity > 0.95
    assert len(heard) == len(good)


def test_channels_alike_are_not_swapped():
    good = voice()
    np.testing.assert_array_equal(choose(good, 1.5 * good), good)


@settings(max_examples=30)
@given(cuts=st.lists(st.integers(0, 6000), max_size=6))
def test_the_division_into_pieces_does_not_matter(cuts):
    frames = np.random.default_rng(1).normal(0, 0.1, (6000, 2)).astype(np.float32)
    frames[:3000, 0] = 0
    whole = ChannelChooser(2, RATE)
    expected = np.concatenate([whole.push(frames), whole.flush()])
    chooser = ChannelChooser(2, RATE)
    heard = [chooser.push(piece) for piece in np.split(frames, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate([*heard, chooser.flush()]), expected)
