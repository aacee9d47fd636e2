"""Samples from an audio file."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge_unlock.audio.resample import MonoResampler
from edge_unlock.audio.source import Closing, Samples
from edge_unlock.errors import AudioError

try:
    import soundfile
except (ImportError, OSError) as error:  # OSError: it is there, and its libsndfile is not
    raise AudioError(
        f"soundfile cannot be loaded: {error}",
        "Install it: sudo apt install libsndfile1, and pip install soundfile",
    ) from error

BLOCK_S: Final = 0.512  # 8192 samples: long enough to make per-block costs vanish


class File(Closing):
    """A WAV, FLAC, Ogg, Opus or MP3 file, of 8 to 192 kHz and up to 32 channels.

    The file is read block by block, whatever length its header claims; one that was cut
    off plays as far as it goes. Of several channels one is heard.

    Raises:
        AudioError: the path is missing, unreadable, no regular file or no audio; or its
            rate or channel count is out of range.
    """

    overruns = 0

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = Path(path).name
        self._origin = repr(os.fspath(path))  # quoted: a file name may hold anything
        self._file = self._open(path)
        try:
            self._resampler = MonoResampler(
                self._file.samplerate, self._file.channels, self._origin
            )
        except AudioError:
            self.close()
            raise

    def _open(self, path: str | os.PathLike[str]) -> "_ForwardOnly":
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
        try:
            # by descriptor, because soundfile treats some file names (x.raw) specially
            return _ForwardOnly(descriptor, closefd=True)
        except (soundfile.SoundFileError, ValueError) as error:
            raise AudioError(
                f"{self._origin} is not an audio file that can be decoded",
                "Use WAV, FLAC, Ogg or MP3.",
            ) from error

    def blocks(self) -> Iterator[Samples]:
        """Yield float32 ``(n,)``, n about 8192; see `SampleSource.blocks`."""
        frames_per_block = round(BLOCK_S * self._file.samplerate)
        seen = False
        while True:
            try:
                frames = self._file.read(frames_per_block, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, RuntimeError) as error:
                raise AudioError(
                    f"{self._origin} cannot be decoded any further", "The file is damaged."
                ) from error
            if not len(frames):
                break
            seen = True
            block = self._resampler.push(frames)
            if block.size:
                yield block
        if not seen:
            raise AudioError(f"{self._origin} holds no audio", "Record it again.")
        tail = self._resampler.flush()
        if tail.size:
            yield tail

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        self._file.close()


class _ForwardOnly(soundfile.SoundFile):  # type: ignore[misc]  # untyped base
    """Keeps soundfile from seeking to where it is after each read: that puts clicks into MP3."""

    def seekable(self) -> bool:
        return False
