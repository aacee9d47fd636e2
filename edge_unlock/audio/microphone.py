"""Samples from a microphone."""

import queue
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import numpy as np

from edge_unlock.audio.device import Device, devices_of, find_device, start_portaudio
from edge_unlock.audio.resample import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ, MonoResampler
from edge_unlock.audio.source import BLOCK_SAMPLES, SAMPLE_RATE_HZ, Samples
from edge_unlock.closing import Closing
from edge_unlock.errors import DeviceError
from edge_unlock.quiet import quiet_stderr

# PortAudio's values (portaudio.h), spelled out so that PyAudio is imported only when used
PA_INT16: Final = 8
PA_CONTINUE: Final = 0
PA_INPUT_OVERFLOW: Final = 2
PA_DEVICE_UNAVAILABLE: Final = -9985

STEP_S: Final = 0.25
"""Where nothing comes for so long an empty block is yielded: who reads can stop."""


class Microphone(Closing):
    """A recording device; it records from construction to ``close()``.

    ``device`` is an index, a name, or a part of a name that only one device has; by
    default the system's. It is opened at its own rate where it can be, because sound servers
    convert with their cheapest filter, and converted here. At most ``queue_s`` seconds wait to
    be read; what comes beyond is lost and counted in ``overruns``, as is what the driver loses.
    ``rate_hz`` and ``format`` tell what it was opened with.

    Raises:
        DeviceError: there is no such device, it is busy or refuses every format; or, from
            ``blocks``, it delivered nothing for ``timeout_s`` seconds.
    """

    _lost = 0  # blocks since the last one that was queued

    def __init__(
        self, device: str | int | None = None, *, timeout_s: float = 5.0, queue_s: float = 5.0
    ) -> None:
        self.overruns = 0
        self._timeout_s = timeout_s
        self._stream: Any = None
        block_s = BLOCK_SAMPLES / SAMPLE_RATE_HZ
        self._most_waiting = max(1, round(queue_s / block_s))
        # not queue.Queue: interrupted by Ctrl-C it may keep its lock, and PortAudio's thread would
        # wait for it while close() waits for that thread
        self._queue: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
        self._session = start_portaudio()
        try:
            chosen = find_device(devices_of(self._session), device)
            self.name = chosen.name
            self._stream, self.rate_hz, self._channels = self._open(chosen)
            self.format = f"{self.rate_hz} Hz, {self._channels} channel(s)"
            self._resampler = MonoResampler(
                self.rate_hz, self._channels, f"microphone {self.name!r}"
            )
        except BaseException:
            self.close()
            raise

    def _open(self, device: Device) -> tuple[Any, int, int]:
        """Open the stream in the best format the device takes: ``stream, rate_hz, channels``."""
        refusal: OSError | None = None
        for rate_hz, channels in _formats(device):
            try:
                with quiet_stderr():
                    stream = self._session.open(
                        rate_hz,
                        channels,
                        PA_INT16,
                        input=True,
                        input_device_index=device.index,
                        frames_per_buffer=round(BLOCK_SAMPLES * rate_hz / SAMPLE_RATE_HZ),
                        stream_callback=self._receive,
                    )
            except OSError as error:
                if error.errno == PA_DEVICE_UNAVAILABLE:
                    raise DeviceError(
                        f"microphone {device.name!r} is busy",
                        "Close the program that uses it, or record through PulseAudio/PipeWire.",
                    ) from error
                refusal = error
            else:
                return stream, rate_hz, channels
        raise DeviceError(
            f"microphone {device.name!r} cannot be opened: {refusal}",
            "Check it with `arecord`, or choose another device.",
        ) from refusal

    def _receive(self, data: bytes, _frames: int, _time: object, status: int) -> tuple[None, int]:
        """Take what PortAudio's thread delivers; must return at once."""
        if status & PA_INPUT_OVERFLOW:
            self._lost += 1
        if self._queue.qsize() < self._most_waiting:
            self._queue.put((self._lost, data))  # so that a gap is found where it is
            self._lost = 0
        else:
            self._lost += 1
        return None, PA_CONTINUE

    def blocks(self) -> Iterator[Samples]:
        """Yield float32 ``(n,)``, n about 512, until closed; see `SampleSource.blocks`."""
        silent_s = 0.0
        while self._stream is not None:
            try:
                lost, data = self._queue.get(timeout=STEP_S)
            except queue.Empty:
                silent_s += STEP_S
                if silent_s >= self._timeout_s:
                    raise DeviceError(
                        f"microphone {self.name!r} delivered nothing for {self._timeout_s:g} s",
                        "Check that it is still plugged in.",
                    ) from None
                yield np.zeros(0, np.float32)
                continue
            silent_s = 0.0
            if lost:
                self._resampler.reset()
            frames = np.frombuffer(data, np.int16).reshape(-1, self._channels)
            block = self._resampler.push(frames.astype(np.float32) / np.float32(32768))
            self.overruns += lost
            if block.size:
                yield block

    def close(self) -> None:
        """Stop recording and release the device; calling it again does nothing."""
        stream, self._stream = self._stream, None
        session, self._session = self._session, None
        with quiet_stderr():
            if stream is not None:
                with suppress(OSError):  # a device that is gone cannot be stopped
                    stream.close()
            if session is not None:
                session.terminate()


def _formats(device: Device) -> list[tuple[int, int]]:
    """Rates and channel counts to try, best first, without repeats."""
    channel_counts = (1, min(2, device.channels), min(MAX_CHANNELS, device.channels))
    own_hz = min(max(device.default_rate_hz, MIN_RATE_HZ), MAX_RATE_HZ)
    rates_hz = (own_hz, SAMPLE_RATE_HZ)
    return list(dict.fromkeys((rate, count) for rate in rates_hz for count in channel_counts))
