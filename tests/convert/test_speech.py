"""Speech for quantization and comparison: what cannot be heard is named."""

import numpy as np
import pytest
import soundfile

from edge_unlock_convert.errors import SpeechError
from edge_unlock_convert.speech import Source, Speech


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(800), "no sound"),
        (np.zeros(0), "no sound"),
        (np.array([0.1, np.nan, 0.1]), "not finite"),
    ],
    ids=["silence", "empty", "not a number"],
)
def test_a_recording_without_sound_is_named(tmp_path, samples, words):
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    with pytest.raises(SpeechError, match=rf"a\.wav holds .*{words}"):
        list(Speech(Source(tmp_path)).recordings(16_000))


def test_a_folder_of_recordings_has_no_splits(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(800, 0.1), 16_000)
    with pytest.raises(SpeechError, match="no split eval"):
        Speech(Source(tmp_path, "eval"))


def test_recordings_beside_folders_of_them_leave_open_who_speaks(tmp_path):
    (tmp_path / "ann").mkdir()
    for place in (tmp_path, tmp_path / "ann"):
        soundfile.write(place / "a.wav", np.full(800, 0.1), 16_000)
    with pytest.raises(SpeechError, match="who speaks"):
        Speech(Source(tmp_path))
