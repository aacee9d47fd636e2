"""What is measured of a recording is what the device hears."""

import io
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

import edge_unlock
from edge_unlock.encoder.encoder import Encoder
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.errors import AudioError
from edge_unlock_convert.evaluation.listening import WHOLE, System, Voices, hear, key

SPOKEN = Path(edge_unlock.__file__).parent / "demo_audio" / "anna-unlock.flac"


@pytest.fixture(scope="module")
def system(package: Path) -> System:
    return System("tiny", ModelPackage.load(package))


def written(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="WAV", subtype="FLOAT")
    return file.getvalue()


def heard(system: System, content: bytes, cut_s: float = WHOLE) -> Voices:
    return Voices.of(np.stack(hear(system, [("one", content, cut_s)])))


def test_speech_is_heard_as_the_device_does(system: System) -> None:
    found = heard(system, SPOKEN.read_bytes())
    samples = soundfile.read(SPOKEN, dtype="float32")[0]
    encoder = Encoder(system.package)
    direction = encoder.embed(samples, 16_000)
    np.testing.assert_array_equal(
        found.embeddings[0], direction * np.float32(encoder.magnitude or 0)
    )
    assert found.duration_s[0] == pytest.approx(len(samples) / 16_000)
    assert 0.6 < found.seconds[0] < found.duration_s[0]
    assert found.snr_db[0] > 10 and found.bandwidth_hz[0] >= 6000 and not found.refused[0]


def test_a_cut_is_the_middle(system: System) -> None:
    samples = soundfile.read(SPOKEN, dtype="float32")[0]
    middle = samples[(len(samples) - 8000) // 2 :][:8000]
    cut, alone = heard(system, SPOKEN.read_bytes(), 0.5), heard(system, written(middle))
    assert cut.duration_s[0] == 0.5
    np.testing.assert_array_equal(cut.embeddings, alone.embeddings)


def test_what_holds_no_speech_is_refused_and_yet_measured(system: System) -> None:
    noise = np.random.default_rng(0).normal(0, 1e-3, 400).astype(np.float32)
    found = heard(system, written(noise))  # too short for a step, as well
    assert found.refused[0] and np.isnan(found.snr_db[0])
    assert found.seconds[0] == pytest.approx(400 / 16_000)
    assert np.isfinite(found.embeddings).all()


@pytest.mark.parametrize("content", [b"no audio", written(np.full(99, np.nan, np.float32))])
def test_what_cannot_be_heard_is_an_error(system: System, content: bytes) -> None:
    with pytest.raises(AudioError, match="one"):
        hear(system, [("one", content, WHOLE)])


def test_threads_do_not_disturb_one_another(system: System) -> None:
    recordings = [("one", SPOKEN.read_bytes(), cut_s) for cut_s in (WHOLE, 0.5, 1.0, 1.5)]
    expected = [hear(system, [one])[0].tobytes() for one in recordings]
    found: dict[int, list[bytes]] = {}

    def listen(number: int) -> None:
        turned = recordings[number:] + recordings[:number]
        rows = [row.tobytes() for row in hear(system, turned)]
        found[number] = rows[-number:] + rows[:-number] if number else rows

    threads = [threading.Thread(target=listen, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert all(found[number] == expected for number in range(4))


def test_a_key_tells_content_cut_and_encoder_apart(system: System) -> None:
    other = System("other", None, "module:function")
    keys = {
        key(one, content, cut_s)
        for one in (system, other)
        for content in (b"a", b"b")
        for cut_s in (WHOLE, 1.0)
    }
    assert len(keys) == 8
