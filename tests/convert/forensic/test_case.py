"""What is refused before anything is heard."""

import numpy as np
import pytest
import soundfile

from edge_unlock_convert.errors import SpeechError
from edge_unlock_convert.forensic.case import Population, read


@pytest.fixture
def known(tmp_path, speech):
    """The first two recordings of a voice, which then are not the population's."""
    folder = tmp_path / "known"
    folder.mkdir()
    for take in range(2):
        samples, rate_hz = soundfile.read(speech / "voice0" / f"{take}.wav")
        soundfile.write(folder / f"{take}.wav", samples * 0.9, rate_hz)
    return folder


@pytest.fixture
def questioned(tmp_path):
    path = tmp_path / "q.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 8_000), 8_000)
    return path


def test_a_case_tells_of_its_files(questioned, known, speech):
    case = read([questioned], known, Population(speech))
    assert case.questioned[0].seconds == 1
    assert case.questioned[0].coding == "WAV PCM_16, 8000 Hz, mono"
    assert len(case.questioned[0].sha256) == 64
    assert [one.path.name for one in case.known] == ["0.wav", "1.wav"]
    assert len(case.others) == len(case.population) == 20
    assert len(case.every) == 23


def test_what_is_not_there_or_not_audio_is_named_at_once(questioned, known, speech, tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(SpeechError) as raised:
        read([tmp_path / "text.wav", tmp_path / "absent.wav"], known, Population(speech))
    assert "text.wav is not audio" in str(raised.value)
    assert "no file" in str(raised.value) and "\n" not in str(raised.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpeechError, match="no recording of the known speaker"):
        read([questioned], tmp_path / "empty", Population(speech))


def test_a_recording_is_not_compared_with_itself(questioned, known, speech):
    with pytest.raises(SpeechError, match="are the same recording"):
        read([known / "0.wav"], known, Population(speech))
    with pytest.raises(SpeechError, match="are the same recording"):
        read([questioned], speech / "voice0", Population(speech))
