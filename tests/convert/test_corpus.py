import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_unlock.errors import AudioError, ConfigError
from edge_unlock_convert.corpus import cut_pieces, middle, read_corpus

HEADER = "path\tsplit\tcorpus\tspeaker\tsex\tage\tseconds\n"


def write(path: Path, seconds: float, rate: int = 16_000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(int(seconds * rate), 0.25, np.float32), rate)


def test_manifest_is_read_by_split(tmp_path: Path) -> None:
    (tmp_path / "m.tsv").write_text(
        HEADER
        + "a.wav\ttrain\tc\t1\tm\t9\t1\n"
        + "b.wav\teval\tc\t1\t-\t-\t1\n"
        + "c.wav\ttrain\tc\tunknown\t-\t-\t1\n"
        + "d.wav\ttrain\tc\tunknown\t-\t-\t1\n"
    )
    utterances = read_corpus(tmp_path / "m.tsv", "train")
    assert utterances[0].path == tmp_path / "a.wav"
    assert (utterances[0].speaker, utterances[0].sex, utterances[0].age) == ("c/1", "m", "9")
    assert len({u.speaker for u in utterances}) == 3  # unlabelled voices are kept apart


def test_folders_are_speakers(tmp_path: Path) -> None:
    write(tmp_path / "ann" / "1.wav", 0.1)
    write(tmp_path / "bob" / "1.flac", 0.1)
    (tmp_path / "bob" / "notes.txt").write_text("no speech")
    assert [u.speaker.split("/")[1] for u in read_corpus(tmp_path)] == ["ann", "bob"]


def test_recordings_are_resampled_to_mono(tmp_path: Path) -> None:
    path = tmp_path / "x" / "stereo.wav"
    path.parent.mkdir()
    soundfile.write(path, np.full((8000, 2), 0.25, np.float32), 8000)
    samples = read_corpus(tmp_path)[0].samples(16_000)
    assert samples.shape == (16_000,)
    assert samples.dtype == np.float32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "path\tsplit\n",
        HEADER,
        HEADER + "a.wav\ttrain\n",
        HEADER + "x" * 200_000 + "\tt\tc\ts\n",
    ],
    ids=["empty", "columns", "no line", "short line", "endless field"],
)
def test_a_manifest_that_names_no_speech_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.tsv").write_text(text)
    with pytest.raises(ConfigError):
        read_corpus(tmp_path / "m.tsv")


def test_a_damaged_recording_is_an_audio_error(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.wav").write_bytes(b"no wave")
    with pytest.raises(AudioError, match=r"^cannot read [^']*/1\.wav: Format"):
        read_corpus(tmp_path)[0].samples(16_000)


def test_a_pipe_is_an_audio_error(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    os.mkfifo(tmp_path / "x" / "1.wav")
    with pytest.raises(AudioError, match=r"1\.wav is missing, or no file"):
        read_corpus(tmp_path)[0].samples(16_000)


@pytest.mark.parametrize("rate", [1, 2**31 - 1])
def test_a_rate_of_no_speech_is_an_audio_error(tmp_path: Path, rate: int) -> None:
    """At 1 Hz a small file would become one of gigabytes."""
    (tmp_path / "x").mkdir()
    soundfile.write(tmp_path / "x" / "1.wav", np.full(100, 0.25), rate)
    with pytest.raises(AudioError, match=rf"1\.wav has a sample rate of {rate} Hz"):
        read_corpus(tmp_path)[0].samples(16_000)


def test_only_the_beginning_is_read_where_that_is_asked(tmp_path: Path) -> None:
    write(tmp_path / "ann" / "1.wav", 1.0, 8_000)
    assert len(read_corpus(tmp_path)[0].samples(16_000, longest_s=0.5)) == 8_000


def test_a_name_that_is_no_text_can_be_read(tmp_path: Path) -> None:
    write(tmp_path / "ann" / "1.wav", 0.1)
    (tmp_path / "ann").rename(tmp_path / os.fsdecode(b"\xe4nn"))
    assert len(read_corpus(tmp_path)[0].samples(16_000)) == 1600


def test_words_are_joined_and_long_recordings_divided(tmp_path: Path) -> None:
    for number in range(7):
        write(tmp_path / "words" / f"{number}.wav", 1.0)
    write(tmp_path / "reader" / "1.wav", 9.0)
    write(tmp_path / "short" / "1.wav", 0.3)
    pieces = list(cut_pieces(read_corpus(tmp_path), 16_000))
    seconds: dict[str, list[float]] = {}
    for piece in pieces:
        seconds.setdefault(piece.speaker.split("/")[1], []).append(len(piece.samples) / 16_000)
    assert seconds == {"reader": [3.0, 3.0, 3.0], "short": [0.3], "words": [3.0, 3.0, 1.0]}


def test_the_middle_is_cut_out_of_what_is_long_enough() -> None:
    samples = np.arange(10, dtype=np.float32)
    assert middle(samples, 4).tolist() == [3, 4, 5, 6]
    assert middle(samples, 12).tolist() == samples.tolist()
