"""Voices that are changed: the excitation stays, the envelope moves."""

import numpy as np
import pytest
from scipy.signal import lfilter

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from edge_unlock_convert.training import conversion  # noqa: E402
from edge_unlock_convert.training.conversion import Change, change_voice  # noqa: E402

RATE_HZ = 16_000
VOWELS_HZ = ((730, 1090), (270, 2290), (300, 870))
"""First and second formants of a, i, u of men (Peterson and Barney, 1952)."""


def voice(pitch_hz: float, tract: float, order: tuple[int, ...]) -> np.ndarray:
    """Vowels of 0.3 s each in that order; the formants are ``tract`` times those of the table."""
    length, signal = int(0.3 * RATE_HZ), []
    for vowel in order:
        pulses = np.zeros(length)
        pulses[:: int(RATE_HZ / pitch_hz)] = 1.0
        for formant in VOWELS_HZ[vowel]:
            angle, radius = 2 * np.pi * formant * tract / RATE_HZ, 0.97
            pulses = lfilter([1.0], [1, -2 * radius * np.cos(angle), radius**2], pulses)
        signal.append(pulses / np.sqrt(np.mean(pulses**2)))
    noise = np.random.default_rng(0).normal(0, 0.003, length * len(order))
    return (0.1 * np.concatenate(signal) + noise).astype(np.float32)


def envelope(samples: np.ndarray) -> np.ndarray:
    """The log magnitude (bins,) of the smoothed spectrum of the middle of a vowel."""
    middle = samples[len(samples) // 2 - 1024 : len(samples) // 2 + 1024]
    cepstra = conversion._cepstra(conversion._spectrum(middle))
    return conversion._envelope(cepstra[4:-4].mean(0, keepdim=True)).numpy()[0]


def test_keeps_length_and_level() -> None:
    samples = voice(120, 1.0, (0, 1, 2))
    faster = change_voice(samples, RATE_HZ, Change(1.2, 1.05, 1.0))
    assert len(faster) == pytest.approx(len(samples) / 1.2, abs=2)
    assert np.sqrt(np.mean(faster**2)) == pytest.approx(np.sqrt(np.mean(samples**2)), rel=0.3)


def test_nothing_borrowed_is_nothing_changed() -> None:
    samples, lender = voice(120, 1.0, (0, 1)), voice(210, 1.2, (1, 0))
    unlent = change_voice(samples, RATE_HZ, Change(1.1, 1.05, 1.0))
    lent = change_voice(samples, RATE_HZ, Change(1.1, 1.05, 1.0, 0.0), lender)
    np.testing.assert_array_equal(lent, unlent)


@pytest.mark.parametrize("vowel", [0, 1, 2])
def test_each_sound_gets_the_envelope_that_it_has_in_the_other_voice(vowel: int) -> None:
    order = (2, 0, 1, 0, 2, 1)
    own, lender = voice(120, 1.0, order), voice(140, 1.2, order[::-1])
    length = int(0.3 * RATE_HZ)
    at = order.index(vowel) * length
    changed = conversion.borrow_envelope(own, lender, 1.0)[at : at + length]
    theirs = envelope(voice(140, 1.2, (vowel,)))
    before = np.abs(envelope(own[at : at + length]) - theirs)[:128].mean()
    after = np.abs(envelope(changed) - theirs)[:128].mean()
    assert after < 0.6 * before


def test_the_pitch_stays() -> None:
    own = voice(125, 1.0, (0, 1, 2))
    changed = conversion.borrow_envelope(own, voice(210, 1.2, (1, 0, 2)), 1.0)
    for samples in (own, changed):
        part = samples[1000:4096]
        lags = np.correlate(part, part, "full")[len(part) - 1 :]
        assert 60 + np.argmax(lags[60:200]) == pytest.approx(RATE_HZ / 125, abs=1)


@pytest.mark.parametrize("length", [0, 300, 512])
def test_too_little_to_analyse_stays_as_it_is(length: int) -> None:
    samples = voice(120, 1.0, (0,))[:length]
    np.testing.assert_array_equal(
        conversion.borrow_envelope(samples, voice(140, 1.2, (0,)), 1.0), samples
    )
    np.testing.assert_array_equal(
        conversion.borrow_envelope(voice(140, 1.2, (0,)), samples, 1.0), voice(140, 1.2, (0,))
    )
