"""Files of every kind, and every kind of broken file."""

import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from edge_unlock.audio import File, Samples
from edge_unlock.errors import AudioError


def tone(rate_hz: int, seconds: float = 1.5, frequency_hz: float = 440.0) -> Samples:
    time_s = np.arange(round(rate_hz * seconds)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)


def sweep(seconds: float = 1.5) -> Samples:
    """200 Hz rising to 2 kHz at 16 kHz: unlike a tone it correlates in one place only."""
    time_s = np.arange(round(16000 * seconds)) / 16000
    phase = 2 * np.pi * (200 * time_s + 1800 / (2 * seconds) * time_s**2)
    return (0.5 * np.sin(phase)).astype(np.float32)


def read(path: Path) -> Samples:
    with File(path) as file:
        blocks = list(file.blocks())
    assert all(b.dtype == np.float32 and b.ndim == 1 and b.size for b in blocks)
    assert all(np.abs(b).max() <= 1 for b in blocks)
    return np.concatenate(blocks)


def wav(
    path: Path,
    data: bytes = b"\0\0" * 8000,
    *,
    rate_hz: int = 16000,
    channels: int = 1,
    claimed_bytes: int | None = None,
) -> Path:
    """A 16-bit WAV whose header says what it is told to."""
    size = len(data) if claimed_bytes is None else claimed_bytes
    layout = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * 2, 2 * channels, 16)
    header = b"WAVEfmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", size)
    path.write_bytes(b"RIFF" + struct.pack("<I", min(size + 36, 2**32 - 1)) + header + data)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {"subtype": "PCM_16"}),
        ("a.wav", {"subtype": "PCM_24"}),
        ("a.wav", {"subtype": "FLOAT"}),
        ("a.flac", {}),
        ("a.ogg", {"subtype": "VORBIS"}),
        ("a.ogg", {"subtype": "OPUS"}),
        ("a.mp3", {}),
        ("a.raw", {"format": "WAV"}),
    ],
)
def test_every_format_plays_the_same(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    path = tmp_path / name
    signal = sweep()
    soundfile.write(path, signal, 16000, **options)
    samples = read(path)
    # lossy codecs pad, and distort the edges
    assert signal.size <= samples.size <= signal.size + 4000
    lag = int(np.argmax(np.correlate(samples, signal[2000:6000], "valid"))) - 2000
    assert np.abs(samples[lag + 1000 : lag + 20000] - signal[1000:20000]).max() < 0.1


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000, 96000, 192000])
def test_any_rate_becomes_16_khz(tmp_path: Path, rate_hz: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(rate_hz), rate_hz)
    samples = read(path)
    assert abs(samples.size - 24000) <= 1
    assert np.abs(samples[200:23800] - tone(16000)[200:23800]).max() < 1e-3


def test_48_khz_stereo_equals_16_khz_mono(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "mono.wav", tone(16000), 16000)
    stereo = np.stack([tone(48000), tone(48000)], axis=1)
    soundfile.write(tmp_path / "stereo.wav", stereo, 48000)
    difference = read(tmp_path / "mono.wav") - read(tmp_path / "stereo.wav")
    assert np.abs(difference)[200:-200].max() < 1e-3


def test_resampling_has_no_seams(tmp_path: Path) -> None:
    noise = (np.random.default_rng(1).standard_normal(3 * 44100) * 0.1).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", noise, 44100, subtype="FLOAT")
    at_once = soxr.resample(noise, 44100, 16000)
    assert np.abs(read(tmp_path / "a.wav") - at_once).max() < 1e-5


def test_source_is_named_and_closes_twice(tmp_path: Path) -> None:
    file = File(wav(tmp_path / "a.wav"))
    assert (file.name, file.overruns) == ("a.wav", 0)
    file.close()
    file.close()


def test_many_channels_up_to_the_cap(tmp_path: Path) -> None:
    data = np.zeros(32 * 100, "<i2").tobytes()
    assert read(wav(tmp_path / "a.wav", data, channels=32)).size == 100
    with pytest.raises(AudioError, match="33 channels"):
        File(wav(tmp_path / "b.wav", bytes(33 * 2 * 100), channels=33))


def test_truncated_wav_plays_what_is_there(tmp_path: Path) -> None:
    assert read(wav(tmp_path / "a.wav", claimed_bytes=10**6)).size == 8000


@pytest.mark.parametrize("riff_bytes", [0, 36, 2**32 - 1])
@pytest.mark.parametrize("claimed_bytes", [0, 2**31 - 1, 2**32 - 1])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "ULAW"])
def test_a_killed_recorder_is_heard(
    tmp_path: Path, subtype: str, claimed_bytes: int, riff_bytes: int
) -> None:
    whole, unfinished = tmp_path / "whole.wav", tmp_path / "unfinished.wav"
    soundfile.write(whole, np.column_stack((sweep(), sweep())), 16000, subtype)
    data = bytearray(whole.read_bytes())
    size_at = data.index(b"data") + 4
    data[4:8] = struct.pack("<I", riff_bytes)
    data[size_at : size_at + 4] = struct.pack("<I", claimed_bytes)
    unfinished.write_bytes(data)
    np.testing.assert_array_equal(read(unfinished), read(whole))


def test_an_empty_recording_is_not_mistaken_for_an_unfinished_one(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", b"")
    data = bytearray(path.read_bytes() + b"LIST" + struct.pack("<I", 400) + b"INFO" * 100)
    data[4:8] = struct.pack("<I", len(data) - 8)
    path.write_bytes(data)
    with pytest.raises(AudioError, match="no audio"):
        read(path)


def test_a_longer_file_than_asked_for_is_refused_at_once(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", bytes(2 * 16000))
    with pytest.raises(AudioError, match="longer than"):
        File(path, max_s=0.9)
    with File(path, max_s=1.0) as file:
        assert sum(block.size for block in file.blocks()) == 16000


def test_a_file_that_does_not_say_how_long_it_is_is_refused_where_it_is_too_long(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, sweep(2.0), 16000)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # STREAMINFO's number of samples: the lower half of byte 13, bytes 14 to 17
    data[22:26] = bytes(4)
    path.write_bytes(data)
    assert read(path).size == 32000
    with File(path, max_s=1.0) as file, pytest.raises(AudioError, match="longer than"):
        list(file.blocks())


def test_truncated_flac_plays_or_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 48000), 16000)
    os.truncate(path, path.stat().st_size // 2)
    with File(path) as file:
        first = next(file.blocks())
    assert first.size


@pytest.mark.parametrize("claimed_bytes", [2**31 - 100, 2**32 - 1])
def test_a_header_claiming_gigabytes_costs_nothing(tmp_path: Path, claimed_bytes: int) -> None:
    path = wav(tmp_path / "a.wav", claimed_bytes=claimed_bytes)
    tracemalloc.start()
    try:
        assert read(path).size == 8000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_endless_silence_costs_constant_memory(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", b"", claimed_bytes=2**31 - 100)
    os.truncate(path, 200_000_000)  # sparse
    tracemalloc.start()
    try:
        with File(path) as file:
            for _, _block in zip(range(200), file.blocks(), strict=False):
                pass
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def broken(kind: str, directory: Path) -> Path:
    path = directory / "broken\n.wav"  # the message must stay one line
    match kind:
        case "missing":
            pass
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "empty":
            path.touch()
        case "text":
            path.write_text("not audio\n" * 100)
        case "no data":
            wav(path, b"")
        case "half a sample":
            wav(path, b"\0")
        case "header only":
            path.write_bytes(wav(path).read_bytes()[:30])
        case "0 Hz":
            wav(path, rate_hz=0)
        case "4 MHz":
            wav(path, rate_hz=4_000_000)
        case "4 kHz":
            wav(path, rate_hz=4000)
        case "no channels":
            wav(path, channels=0)
        case "NaN" | "inf":
            soundfile.write(path, np.array([0.0, float(kind)] * 100), 16000, "FLOAT", format="WAV")
    return path


@pytest.mark.parametrize(
    "kind",
    [
        *("missing", "directory", "pipe", "empty", "text", "no data", "half a sample"),
        *("header only", "0 Hz", "4 MHz", "4 kHz", "no channels", "NaN", "inf"),
    ],
)
def test_bad_files_are_refused_in_one_line_and_leave_nothing_open(
    tmp_path: Path, kind: str
) -> None:
    path = broken(kind, tmp_path)
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(AudioError) as caught:
        read(path)
    assert "\n" not in f"{caught.value}{caught.value.hint}"
    assert caught.value.hint
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav")
    path.chmod(0)
    with pytest.raises(AudioError, match="Permission denied"):
        File(path)


def test_a_path_with_nul_is_refused() -> None:
    with pytest.raises(AudioError, match="null"):
        File("a\0b")
