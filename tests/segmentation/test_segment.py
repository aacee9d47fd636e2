"""Utterances are found, and nothing else costs anything."""

import functools
import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_unlock.audio import File, Samples
from edge_unlock.errors import AudioError, ConfigError
from edge_unlock.segmentation.conditioning import Conditioner
from edge_unlock.segmentation.segment import CHUNK_SAMPLES, Segment, Segmenter, SegmenterSettings
from tests.speech import trimmed, utterances

RATE = 16000


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def noise(seconds: float, dbfs: float, seed: int = 0) -> Samples:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (samples * 10 ** (dbfs / 20)).astype(np.float32)


def room_noise(seconds: float, dbfs: float) -> Samples:
    """White noise through a 130 ms room and a fan's rumble: most of it below 200 Hz."""
    white = noise(seconds, 0)
    decay = np.exp(-np.arange(2048) / 400) * np.random.default_rng(1).standard_normal(2048)
    size = white.size + decay.size
    reverberant = np.fft.irfft(np.fft.rfft(white, size) * np.fft.rfft(decay, size), size)
    rumble = np.cumsum(white - np.concatenate([silence(0.04), white[:-640]]))
    mixed = reverberant[: white.size] / reverberant.std() + 2 * rumble / rumble.std()
    return (mixed / mixed.std() * 10 ** (dbfs / 20)).astype(np.float32)


@functools.cache
def speech(count: int = 1) -> list[Samples]:
    """Trimmed real speech at -20 dBFS."""
    cut = [trimmed(samples) for samples in utterances(count)]
    return [np.clip(0.1 * s / s.std(), -1, 1).astype(np.float32) for s in cut]


def segments_of(
    samples: Samples, segmenter: Segmenter | None = None, block: int = 8192
) -> list[Segment]:
    segmenter = segmenter or Segmenter()
    found = [segmenter.push(samples[i : i + block]) for i in range(0, samples.size, block)]
    return [*itertools.chain.from_iterable(found), *segmenter.flush()]


def test_every_utterance_is_found_where_it_is() -> None:
    spoken = speech(12)
    parts, spans, position_s = [silence(2.0)], [], 2.0
    for samples in spoken:
        spans.append((position_s, position_s + samples.size / RATE))
        parts += [samples, silence(1.5)]
        position_s = spans[-1][1] + 1.5
    stream = np.concatenate(parts)
    found = segments_of(stream + noise(stream.size / RATE, -65))
    for start_s, end_s in spans:
        inside = [s for s in found if s.start_s < end_s and s.end_s > start_s]
        assert inside, f"missed the utterance at {start_s:.1f} s"
        assert abs(inside[0].start_s - start_s) < 0.25
        assert abs(inside[-1].end_s - end_s) < 0.25
    assert all(any(s.start_s < e and s.end_s > b for b, e in spans) for s in found)
    for segment in found:
        start, end = round(segment.start_s * RATE), round(segment.end_s * RATE)
        assert segment.samples.size == end - start
        assert segment.samples.dtype == np.float32
        assert not segment.samples.flags.writeable
        assert not segment.truncated


def test_speech_at_the_very_start_and_end_of_a_file() -> None:
    (samples,) = speech()
    found = segments_of(samples)
    assert found[0].start_s < 0.25
    assert found[-1].end_s > samples.size / RATE - 0.25
    assert found[-1].end_s <= samples.size / RATE


@pytest.mark.parametrize("dbfs", [-70, -60, -40, -20])
def test_steady_noise_does_not_wake_the_vad(dbfs: float) -> None:
    for samples in (noise(30, dbfs), room_noise(30, dbfs)):
        segmenter = Segmenter()
        segmenter.push(samples[: 2 * RATE])  # the floor is known after one second
        settled = segmenter.vad_chunks
        assert segmenter.push(samples[2 * RATE :]) == []
        assert segmenter.vad_chunks - settled <= 0.02 * 28 * 31.25


@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_silence_never_wakes_the_vad_whatever_its_offset(offset: float) -> None:
    segmenter = Segmenter()
    segmenter.push(silence(30) + np.float32(offset))
    assert segmenter.vad_chunks == 0


def test_noise_that_grows_wakes_the_vad_only_for_a_while() -> None:
    segmenter = Segmenter()
    segmenter.push(np.concatenate([noise(10, -60), noise(6, -35)]))
    woken = segmenter.vad_chunks
    segmenter.push(noise(20, -35, seed=1))
    assert segmenter.vad_chunks == woken


def test_room_noise_of_a_file_asks_the_vad_less_than_once_in_a_hundred_chunks(
    tmp_path: Path,
) -> None:
    """So an hour of it costs next to nothing; by how much is measured by ``edge-unlock bench``."""
    path, minutes = tmp_path / "noise.wav", 5
    soundfile.write(path, np.tile(room_noise(60, -50), minutes), RATE)
    segmenter = Segmenter()
    with File(path) as file:
        for block in file.blocks():
            assert segmenter.push(block) == []
    assert segmenter.vad_chunks < 0.01 * minutes * 60 * RATE / CHUNK_SAMPLES


@functools.cache
def dialogue() -> tuple[Samples, list[Segment]]:
    """A stream with two utterances, one of them cut at the maximum, and its segments."""
    *several, second = speech(4)
    parts = [
        silence(1.2),
        np.concatenate(several)[: 3 * RATE],
        silence(0.9),
        second[: 2 * RATE],
        silence(0.3),
    ]
    stream = np.concatenate(parts)
    stream = stream + noise(stream.size / RATE, -60)
    return stream, segments_of(stream, Segmenter(SegmenterSettings(max_utterance_s=1.0)))


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(sizes=st.lists(st.integers(0, 20_000), min_size=1, max_size=8).filter(any))
def test_the_division_into_blocks_does_not_matter(sizes: list[int]) -> None:
    stream, expected = dialogue()
    segmenter = Segmenter(SegmenterSettings(max_utterance_s=1.0))
    found: list[Segment] = []
    position = 0
    for size in itertools.cycle(sizes):
        found += segmenter.push(stream[position : position + size])
        position += size
        if position >= stream.size:
            break
    found += segmenter.flush()
    assert_same(found, expected)


@pytest.mark.parametrize("size", [160, 511, 512, 1600, 10**9])
def test_usual_block_sizes_do_not_matter(size: int) -> None:
    stream, expected = dialogue()
    segmenter = Segmenter(SegmenterSettings(max_utterance_s=1.0))
    assert_same(segments_of(stream, segmenter, size), expected)


def assert_same(found: list[Segment], expected: list[Segment]) -> None:
    assert len(expected) >= 2
    assert any(segment.truncated for segment in expected)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)
        facts = [{**vars(segment), "samples": None} for segment in (one, other)]
        assert facts[0] == facts[1]


def test_open_samples_grow_into_the_segment() -> None:
    (samples,) = speech()
    stream = np.concatenate([noise(1, -60), samples[: 3 * RATE], noise(1.5, -60)])
    segmenter = Segmenter()
    longest = np.empty(0, np.float32)
    for i in range(0, stream.size, 512):
        ended = segmenter.push(stream[i : i + 512])
        if ended:
            np.testing.assert_array_equal(longest, ended[0].samples[: longest.size])
            assert longest.size >= ended[0].samples.size - 1600
            return
        now = segmenter.open_samples
        assert segmenter.in_speech == bool(now.size)
        np.testing.assert_array_equal(now[: longest.size], longest)
        longest = now.copy()
    pytest.fail("no segment")


def test_long_speech_is_cut_without_losing_a_sample() -> None:
    stream = np.concatenate([silence(1), *speech(6)])
    found = segments_of(stream, Segmenter(SegmenterSettings(max_utterance_s=1.0)))
    filtered = Conditioner().push(stream)
    assert any(s.truncated for s in found)
    for one, other in itertools.pairwise(found):
        assert one.end_s <= other.start_s
    for segment in found:
        assert segment.samples.size <= RATE
        assert segment.truncated == (segment.samples.size == RATE)
        start = round(segment.start_s * RATE)
        expected = filtered[start : start + segment.samples.size]
        np.testing.assert_array_equal(segment.samples, expected)


@pytest.mark.parametrize(("pause_s", "count"), [(0.25, 1), (1.0, 2)])
def test_the_hangover_bridges_short_pauses_only(pause_s: float, count: int) -> None:
    word = steadiest_second()
    stream = np.concatenate([noise(1, -70), word, noise(pause_s, -70), word, noise(1, -70)])
    assert len(segments_of(stream)) == count


def steadiest_second() -> Samples:
    """A stretch of speech in which the VAD sees no pause."""
    for samples in speech(12):
        found = segments_of(samples, Segmenter(SegmenterSettings(hangover_s=0.1, pre_roll_s=0)))
        for segment in found:
            if segment.samples.size >= 0.7 * RATE:
                return segment.samples
    raise AssertionError("no steady speech")


def test_a_click_is_not_speech() -> None:
    stream = noise(4, -60)
    stream[2 * RATE : 2 * RATE + 800] += noise(0.05, -6)
    assert segments_of(stream) == []


def test_levels_of_an_utterance() -> None:
    (samples,) = speech()
    for noise_dbfs in (-60, -45):
        stream = np.concatenate([silence(3), samples, silence(2)])
        stream = stream + noise(stream.size / RATE, noise_dbfs)
        (segment, *_) = segments_of(stream)
        assert segment.noise_dbfs == pytest.approx(noise_dbfs, abs=1.5)
        assert segment.speech_dbfs == pytest.approx(-20, abs=2.5)
        assert segment.snr_db == segment.speech_dbfs - segment.noise_dbfs
        assert segment.clipped_fraction == 0


def test_clipping_is_measured_but_lone_peaks_are_not_clipping() -> None:
    (samples,) = speech()
    padded = np.concatenate([noise(1, -60), samples, noise(1, -60)])
    loud = np.clip(8 * padded, -1, 1)
    (segment, *_) = segments_of(loud)
    share = np.mean(
        np.abs(loud[: round(segment.end_s * RATE)][round(segment.start_s * RATE) :]) >= 0.999
    )
    assert 0.02 < segment.clipped_fraction <= share
    peaks = padded / np.abs(padded).max()
    assert segments_of(peaks)[0].clipped_fraction == 0


def test_an_offset_changes_nothing() -> None:
    stream, _ = dialogue()
    plain, offset = segments_of(stream), segments_of(stream + np.float32(0.05))
    assert len(plain) == len(offset)
    for one, other in zip(plain, offset, strict=True):
        np.testing.assert_allclose(other.samples, one.samples, atol=1e-5)
        assert other.noise_dbfs == pytest.approx(one.noise_dbfs, abs=0.1)


def test_reset_forgets_the_stream() -> None:
    stream, _ = dialogue()
    segmenter = Segmenter()
    fresh = segments_of(stream)
    segmenter.push(stream[: 2 * RATE])
    segmenter.reset()
    assert not segmenter.in_speech
    assert segmenter.open_samples.size == 0
    assert [s.start_s for s in segments_of(stream, segmenter)] == [s.start_s for s in fresh]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers_are_refused(value: float) -> None:
    block = silence(0.1)
    block[5] = value
    with pytest.raises(AudioError) as caught:
        Segmenter().push(block)
    assert caught.value.hint


def test_stereo_is_refused() -> None:
    with pytest.raises(AudioError):
        Segmenter().push(np.zeros((512, 2), np.float32))


@pytest.mark.parametrize(
    "wrong",
    [
        {"hangover_s": -1.0},
        {"gate_margin_db": float("nan")},
        {"max_utterance_s": 0.1},
        {"post_roll_s": 1.0},
        {"vad_threshold_on": 0.2},
        {"vad_threshold_on": 1.5},
    ],
)
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError) as caught:
        SegmenterSettings(**wrong)
    assert caught.value.hint
