"""What lies outside of what was validated."""

from pathlib import Path

import numpy as np
import pytest

from edge_unlock_convert.evaluation.listening import Voices
from edge_unlock_convert.forensic.case import Recording
from edge_unlock_convert.forensic.limits import MEASURES, Range, outside, ranges, span

CODING = "WAV PCM_16, 16000 Hz, mono"


def voices(seconds, snr_db, bandwidth_hz, refused=0):
    columns = (seconds, snr_db, bandwidth_hz, seconds, refused)
    return Voices(
        np.zeros((100, 4), np.float32),
        *(np.broadcast_to(np.float32(one), 100).astype(np.float32) for one in columns),
    )


@pytest.fixture
def validated():
    spread = np.linspace(0, 1, 100)
    return ranges(voices(2 + spread, 20 + 20 * spread, 7000 + 1000 * spread))


def said(validated, heard, coding=CODING):
    one = Recording(Path("q.wav"), "", 2.5, coding)
    others = [Recording(Path("p.wav"), "", 2.5, CODING)]
    return list(outside(one, 0, heard, validated, others))


def test_what_is_like_the_population_is_not_warned_of(validated):
    assert said(validated, voices(2.5, 30, 7500)) == []


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        (voices(0.9, 30, 7500), "its speech of 0.9 s lies outside the 2.0 to 3.0 s"),
        (voices(2.5, 5, 7500), "its signal-to-noise ratio of 5 dB lies outside"),
        (voices(2.5, 30, 3400), "its bandwidth of 3400 Hz lies outside"),
        (voices(2.5, np.nan, 7500), "its signal-to-noise ratio could not be measured"),
        (voices(2.5, 30, 7500, 1), "ask to say it again"),
    ],
)
def test_each_measure_is_told(validated, heard, words):
    (warning,) = said(validated, heard)
    assert warning.startswith("q.wav: ") and words in warning


def test_another_coding_may_be_another_channel(validated):
    (warning,) = said(validated, voices(2.5, 30, 7500), "WAV ULAW, 8000 Hz, mono")
    assert "ULAW" in warning


def test_a_difference_that_is_not_shown_does_not_count():
    found = Range(2.04, 3.0)
    assert found.holds(2.01, MEASURES["seconds"]) and not found.holds(1.9, MEASURES["seconds"])
    assert span(found, MEASURES["seconds"]) == "2.0 to 3.0 s"
    assert Range.of(np.full(3, np.nan, np.float32)) is None
