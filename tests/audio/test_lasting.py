"""A source that outlives its device: by fakes that fail on cue, and with a real sound server."""

import itertools
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from edge_unlock.audio import Microphone, Samples, SampleSource
from edge_unlock.audio.fake import Fake
from edge_unlock.audio.lasting import Lasting
from edge_unlock.errors import DeviceError
from edge_unlock.lock.hearing import hear
from edge_unlock.segmentation.segment import Segmenter
from tests.pulse import PulseServer
from tests.speech import utterances

GONE = DeviceError("gone", "Plug it in.")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_unlock.audio.lasting.FIRST_WAIT_S", 0.01)


def opening(*sources: SampleSource | DeviceError) -> Callable[[], SampleSource]:
    """Open these in turn, or fail to."""
    rest = iter(sources)

    def open_source() -> SampleSource:
        one = next(rest)
        if isinstance(one, DeviceError):
            raise one
        return one

    return open_source


def test_it_goes_on_where_the_device_comes_back() -> None:
    one, other = (np.full(1000, level, np.float32) for level in (0.1, 0.2))
    told: list[DeviceError | None] = []
    first = Fake(one, error=GONE)
    with Lasting(opening(first, GONE, GONE, Fake(other)), told.append) as source:
        before = source.overruns
        blocks = [(block, source.overruns) for block in source.blocks()]
        assert first.closed
    heard = np.concatenate([block for block, _ in blocks])
    np.testing.assert_array_equal(heard, np.concatenate((one, other)))
    assert told == [GONE, None]
    # what comes after the gap is known to lie after it
    assert {count for block, count in blocks if block.size and block[0] < 0.15} == {before}
    assert {count for block, count in blocks if block.size and block[0] > 0.15} == {before + 1}


def test_an_utterance_across_the_gap_is_void_and_the_next_is_not() -> None:
    speech = utterances(1)[0]
    silence = np.zeros(16_000, np.float32)
    cut = np.concatenate((silence, speech[: len(speech) // 2]))
    whole = np.concatenate((silence, speech, silence))
    with Lasting(opening(Fake(cut, error=GONE), Fake(whole)), lambda _: None) as source:
        heard = list(hear(source, Segmenter()))
    assert [one.audio_lost for one in heard] == [True] + [False] * (len(heard) - 1)
    assert len(heard) > 1


def test_it_is_waited_for_the_first_time_too() -> None:
    told: list[DeviceError | None] = []
    samples = np.full(1000, 0.1, np.float32)
    with Lasting(opening(GONE, GONE, Fake(samples, name="usb")), told.append) as source:
        assert sum(block.size for block in source.blocks()) == 1000
        assert source.name == "usb"
    assert told == [GONE, None]


def test_waiting_ends_when_it_is_closed_and_yields_nothing_meanwhile() -> None:
    def never() -> Iterator[SampleSource | DeviceError]:
        yield Fake(np.zeros(512, np.float32), error=GONE)
        yield from itertools.repeat(GONE)

    source = Lasting(opening(*itertools.islice(never(), 100)), lambda _: None)
    blocks = source.blocks()
    assert next(blocks).size
    assert not any(next(blocks).size for _ in range(5))
    source.close()
    assert list(blocks) == []


def test_waits_grow_and_begin_anew_after_a_steady_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    opened: list[float] = []

    class Steady(Fake):
        def blocks(self) -> Iterator[Samples]:
            yield np.zeros(512, np.float32)
            clock[0] += 11
            raise GONE

    def open_source() -> SampleSource:
        opened.append(clock[0])
        if len(opened) in (1, 13):
            return Steady(np.zeros(0, np.float32))
        if len(opened) == 15:
            return Fake(np.zeros(0, np.float32))
        raise GONE

    with Lasting(open_source, lambda _: None) as source:
        list(source.blocks())
    waits = np.diff([11.0, *opened[1:12]])
    assert waits[0] == pytest.approx(0.01)
    assert (np.diff(waits) >= 0).all()
    assert waits[-1] < 31
    assert opened[13] - (opened[12] + 11) == pytest.approx(0.01)  # eager again


def test_a_sound_server_that_is_killed_and_started_again_is_heard_again() -> None:
    told: list[DeviceError | None] = []
    with PulseServer() as pulse, Lasting(lambda: Microphone(timeout_s=1), told.append) as source:
        blocks = source.blocks()
        for losses in range(1, 4):
            while not next(blocks).size:
                pass
            pulse.stop()
            while len(told) < 2 * losses - 1:
                next(blocks)
            pulse.start()
            while len(told) < 2 * losses:
                next(blocks)
            assert isinstance(told[-2], DeviceError)
            assert told[-1] is None
            assert source.overruns >= losses
