"""Samples from an audio file."""

import io
import math
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from edge_unlock.audio.resample import MonoResampler
from edge_unlock.audio.source import Samples
from edge_unlock.closing import Closing
from edge_unlock.errors import AudioError

try:
    import soundfile
except (ImportError, OSError) as error:  # OSError: it is there, and its libsndfile is not
    raise AudioError(
        f"soundfile cannot be loaded: {error}",
        "Install it: sudo apt install libsndfile1, and pip install soundfile",
    ) from error

BLOCK_S: Final = 0.512  # 8192 samples: long enough to make per-block costs vanish
UNKNOWN_FRAMES: Final = 2**63 - 1  # SF_COUNT_MAX: the header does not say how long the file is
HEADER_CHUNKS: Final = 64  # more than any recorder writes before the samples


class File(Closing):
    """A WAV, FLAC, Ogg, Opus or MP3 file, of 8 to 192 kHz and up to 32 channels.

    The file is read block by block, whatever length its header claims; one that was cut
    off plays as far as it goes, and so does a WAV file whose recorder was killed before it
    wrote the length. Of several channels one is heard.

    Raises:
        AudioError: the path is missing, unreadable, no regular file or no audio; its rate or
            channel count is out of range; or it is longer than ``max_s``.
    """

    overruns = 0

    def __init__(self, path: str | os.PathLike[str], max_s: float = math.inf) -> None:
        self.name = Path(path).name
        self._origin = repr(os.fspath(path))  # quoted: a file name may hold anything
        self._max_s = max_s
        with ExitStack() as opened:
            handle = opened.enter_context(self._open(path))
            self._file = opened.enter_context(self._decode(handle))
            if self._file.frames != UNKNOWN_FRAMES:
                self._check_length(self._file.frames)
            self._resampler = MonoResampler(
                self._file.samplerate, self._file.channels, self._origin
            )
            self._opened = opened.pop_all()

    def _open(self, path: str | os.PathLike[str]) -> io.FileIO:
        try:
            # non-blocking, so that a named pipe without a writer is refused, not waited for
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = error.strerror if isinstance(error, OSError) else error
            raise AudioError(
                f"cannot open {self._origin}: {reason}", "Check the path and its permissions."
            ) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise AudioError(
                f"{self._origin} is not a regular file",
                "Name an audio file, or pipe raw 16 kHz samples to standard input.",
            )
        return io.FileIO(descriptor)

    def _decode(self, handle: io.FileIO) -> "_ForwardOnly":
        try:
            # by descriptor, because soundfile treats some file names (x.raw) specially
            file = _ForwardOnly(handle.fileno(), closefd=False)
            size_at = None if file.frames else _unwritten_size(handle)
            return file if size_at is None else _ForwardOnly(_Unfinished(handle, size_at))
        except (soundfile.SoundFileError, ValueError) as error:
            raise AudioError(
                f"{self._origin} is not an audio file that can be decoded",
                "Use WAV, FLAC, Ogg or MP3.",
            ) from error

    def _check_length(self, frames: int) -> None:
        if frames > self._max_s * self._file.samplerate:
            raise AudioError(
                f"{self._origin} is longer than {self._max_s / 60:g} minutes",
                "Cut out what is to be judged, and name that.",
            )

    def blocks(self) -> Iterator[Samples]:
        """Yield float32 ``(n,)``, n about 8192; see `SampleSource.blocks`."""
        frames_per_block = round(BLOCK_S * self._file.samplerate)
        heard = 0
        while True:
            try:
                frames = self._file.read(frames_per_block, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, RuntimeError) as error:
                raise AudioError(
                    f"{self._origin} cannot be decoded any further", "The file is damaged."
                ) from error
            if not len(frames):
                break
            heard += len(frames)
            self._check_length(heard)
            block = self._resampler.push(frames)
            if block.size:
                yield block
        if not heard:
            raise AudioError(f"{self._origin} holds no audio", "Record it again.")
        tail = self._resampler.flush()
        if tail.size:
            yield tail

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        self._opened.close()


class _ForwardOnly(soundfile.SoundFile):  # type: ignore[misc]  # untyped base
    """Keeps soundfile from seeking to where it is after each read: that puts clicks into MP3."""

    def seekable(self) -> bool:
        return False


class _Unfinished:
    """What libsndfile reads of a WAV file whose data chunk claims no bytes: that it is endless.

    ``size_at`` is where in the file that claim is.
    """

    def __init__(self, handle: io.FileIO, size_at: int) -> None:
        self.seek = handle.seek
        self.tell = handle.tell
        self._handle = handle
        self._size_at = size_at
        self.seek(0)

    def read(self, count: int) -> bytes:
        start = self.tell()
        data = bytearray(self._handle.read(count))
        for i in range(max(start, self._size_at), min(start + len(data), self._size_at + 4)):
            data[i - start] = 0xFF
        return bytes(data)


def _unwritten_size(handle: io.FileIO) -> int | None:
    """Where a WAV file's header has no size for the samples that follow; None if it has one.

    Recorders write it at the end, and a killed one never. A header whose other size agrees
    with the file is believed: the recording is empty.
    """
    handle.seek(0)
    riff, riff_bytes, kind = struct.unpack("<4sI4s", handle.read(12).ljust(12, b"\0"))
    if (riff, kind) != (b"RIFF", b"WAVE"):
        return None
    end = os.fstat(handle.fileno()).st_size
    for _ in range(HEADER_CHUNKS):
        header = handle.read(8)
        if len(header) < 8:
            break
        name, size = struct.unpack("<4sI", header)
        start = handle.tell()
        if name == b"data":
            is_finished = start < riff_bytes + 8 <= end
            return start - 4 if size == 0 and start < end and not is_finished else None
        handle.seek(start + size + size % 2)  # chunks begin at even places
    return None
