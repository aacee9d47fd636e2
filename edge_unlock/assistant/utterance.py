"""From the audio of Wyoming events to what was said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
import numpy as np

from edge_unlock.audio import Samples
from edge_unlock.audio.resample import MonoResampler
from edge_unlock.errors import AssistantError, AudioError
from edge_unlock.lock.hearing import Heard
from edge_unlock.segmentation.segment import Segment, Segmenter

MAX_AUDIO_S: Final = 60.0
"""Nobody asks an assistant for longer; bounds what a client can make us keep and judge."""

_Positive = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_INTEGER_BYTES: Final = 4


class Format(msgspec.Struct, frozen=True):
    """What the audio of an event is: PCM, little-endian, as RIFF has it (one byte is unsigned)."""

    rate: _Positive
    """Hz."""
    width: Annotated[int, msgspec.Meta(ge=1, le=_INTEGER_BYTES)]
    """Bytes a sample."""
    channels: _Positive

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Format:
        """What the data of an event say; raises ``AssistantError`` if they do not."""
        try:
            return msgspec.convert(dict(data), cls)
        except msgspec.ValidationError as error:
            raise AssistantError(f"this is no format of audio: {error}") from error


class Utterance:
    """Audio of one ``form`` as it arrives, from start to stop.

    Raises:
        AudioError: the rate is outside 8..192 kHz or there are more than 32 channels.
    """

    def __init__(self, form: Format) -> None:
        self.form = form
        self._resampler = MonoResampler(form.rate, form.channels, "the audio")
        self._segmenter = Segmenter()
        self._segments: list[Segment] = []
        self._rest = b""
        self._frames = 0

    def push(self, audio: bytes) -> None:
        """Take some audio, of any number of bytes; raises ``AudioError`` if it gets too long."""
        audio = self._rest + audio
        whole = len(audio) - len(audio) % (self.form.width * self.form.channels)
        self._rest = audio[whole:]
        frames = _floats(audio[:whole], self.form.width).reshape(-1, self.form.channels)
        self._frames += len(frames)
        if self._frames > MAX_AUDIO_S * self.form.rate:
            raise AudioError(
                f"this goes on for more than {MAX_AUDIO_S:.0f} s", "Send one sentence at a time."
            )
        self._segments += self._segmenter.push(self._resampler.push(frames))

    def finish(self) -> list[Heard]:
        """What was said in it; nothing may be pushed after."""
        self._segments += self._segmenter.push(self._resampler.flush())
        self._segments += self._segmenter.flush()
        return [Heard(segment, audio_lost=False) for segment in self._segments]


def _floats(audio: bytes, width: int) -> Samples:
    """Float32 ``(n,)`` in [-1, 1) of n samples."""
    raw = np.frombuffer(audio, np.uint8).reshape(-1, width)
    if width == 1:
        raw = raw ^ np.uint8(0x80)  # unsigned: the middle is 128
    integers = np.zeros((len(raw), _INTEGER_BYTES), np.uint8)
    integers[:, _INTEGER_BYTES - width :] = raw  # the upper bytes of 32 bits
    floats: Samples = integers.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
    return floats
