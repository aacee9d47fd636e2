"""Samples from standard input."""

import sys
from collections.abc import Iterator
from typing import BinaryIO, Final

import numpy as np

from edge_unlock.audio.source import BLOCK_SAMPLES, SAMPLE_RATE_HZ, Closing, Samples
from edge_unlock.errors import AudioError

SAMPLE_BYTES: Final = 2
HINT: Final = (
    f"Pipe raw samples: arecord -q -t raw -f S16_LE -r {SAMPLE_RATE_HZ} -c 1 | edge-unlock ..."
)
CONTAINERS: Final = {b"RIFF": "a WAV file", b"fLaC": "a FLAC file", b"OggS": "an Ogg file"}


class Stdin(Closing):
    """Raw little-endian 16-bit 16 kHz mono samples from ``stream`` or standard input.

    Input that ends inside a sample is taken to have been cut off there: the half sample
    is dropped. The stream is not closed, because it was not opened here.

    Raises:
        AudioError: standard input is closed or a terminal.
    """

    overruns = 0
    name = "standard input"

    def __init__(self, stream: BinaryIO | None = None) -> None:
        if stream is None and sys.stdin is None:
            raise AudioError("standard input is closed", HINT)
        self._stream = sys.stdin.buffer if stream is None else stream
        if self._stream.isatty():
            raise AudioError("standard input is a terminal, not audio", HINT)
        self._closed = False

    def blocks(self) -> Iterator[Samples]:
        """Yield float32 ``(512,)``, the last one shorter; see `SampleSource.blocks`."""
        seen = False
        while not self._closed:
            try:
                data = self._stream.read(BLOCK_SAMPLES * SAMPLE_BYTES)
            except OSError as error:
                raise AudioError(f"cannot read standard input: {error.strerror}", HINT) from error
            samples = np.frombuffer(data, "<i2", count=len(data) // SAMPLE_BYTES)
            if not samples.size:
                break
            if not seen and data[:4] in CONTAINERS:
                raise AudioError(
                    f"standard input holds {CONTAINERS[data[:4]]}, not raw samples",
                    "Pass the file by its name instead.",
                )
            seen = True
            yield samples.astype(np.float32) / np.float32(32768)
        if not seen and not self._closed:
            raise AudioError("standard input holds no audio", HINT)

    def close(self) -> None:
        """Stop yielding; calling it again does nothing."""
        self._closed = True
