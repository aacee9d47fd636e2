"""Samples from standard input."""

import io
import sys
from collections.abc import Iterator
from selectors import EVENT_READ, PollSelector
from typing import Final, cast

import numpy as np

from edge_unlock.audio.source import BLOCK_SAMPLES, SAMPLE_RATE_HZ, Samples
from edge_unlock.closing import Closing
from edge_unlock.errors import AudioError

SAMPLE_BYTES: Final = 2
HINT: Final = (
    f"Pipe raw samples: arecord -q -t raw -f S16_LE -r {SAMPLE_RATE_HZ} -c 1 | edge-unlock ..."
)
CONTAINERS: Final = {b"RIFF": "a WAV file", b"fLaC": "a FLAC file", b"OggS": "an Ogg file"}
MAGIC_BYTES: Final = 4
PATIENCE_S: Final = 0.1  # how long a silent pipe may keep the reader from looking at its clock


class Stdin(Closing):
    """Raw little-endian 16-bit 16 kHz mono samples from ``stream`` or standard input.

    Samples are passed on as they arrive. Input that ends inside a sample is taken to have
    been cut off there: the half sample is dropped. The stream is not closed, because it was
    not opened here.

    Raises:
        AudioError: standard input is closed or a terminal.
    """

    overruns = 0
    name = "standard input"

    def __init__(self, stream: io.BufferedIOBase | None = None) -> None:
        if stream is None and sys.stdin is None:
            raise AudioError("standard input is closed", HINT)
        self._stream = cast(io.BufferedIOBase, sys.stdin.buffer) if stream is None else stream
        if self._stream.isatty():
            raise AudioError("standard input is a terminal, not audio", HINT)
        self._arrival = _arrival(self._stream)
        self._pending = b""
        self._seen = False
        self._closed = False

    def blocks(self) -> Iterator[Samples]:
        """Yield float32 ``(n,)``, n up to 512, and 0 when nothing came for 0.1 s.

        See `SampleSource.blocks`.
        """
        while not self._closed:
            data = self._read()
            if data is None:
                yield np.empty(0, np.float32)
                continue
            self._pending += data
            if data and not self._seen and len(self._pending) < MAGIC_BYTES:
                continue
            if not self._seen and self._pending[:MAGIC_BYTES] in CONTAINERS:
                raise AudioError(
                    "standard input holds "
                    f"{CONTAINERS[self._pending[:MAGIC_BYTES]]}, not raw samples",
                    "Pass the file by its name instead.",
                )
            samples = np.frombuffer(self._pending, "<i2", len(self._pending) // SAMPLE_BYTES)
            self._pending = self._pending[samples.nbytes :]
            if samples.size:
                self._seen = True
                yield samples.astype(np.float32) / np.float32(32768)
            if not data:
                break
        if not self._seen and not self._closed:
            raise AudioError("standard input holds no audio", HINT)

    def _read(self) -> bytes | None:
        """Return what is there, at most a block; nothing at the end, None if it is still to come.

        ``read1`` does not wait for a full block as ``read`` does, and leaves nothing in the
        stream's own buffer, of which the selector knows nothing.
        """
        try:
            if self._arrival is not None and not self._arrival.select(PATIENCE_S):
                return None
            return self._stream.read1(BLOCK_SAMPLES * SAMPLE_BYTES)
        except OSError as error:
            raise AudioError(f"cannot read standard input: {error.strerror}", HINT) from error

    def close(self) -> None:
        """Stop yielding; calling it again does nothing."""
        self._closed = True


def _arrival(stream: io.BufferedIOBase) -> PollSelector | None:
    """What tells whether ``stream`` can be read; None for one in memory, which always can."""
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:
        return None
    arrival = PollSelector()  # unlike epoll's it takes regular files, and holds no descriptor
    arrival.register(descriptor, EVENT_READ)
    return arrival
