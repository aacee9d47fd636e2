"""From what a file or device delivers to 16 kHz mono."""

from typing import Final

import numpy as np
import soxr

from edge_unlock.audio.channels import ChannelChooser
from edge_unlock.audio.source import SAMPLE_RATE_HZ, Samples
from edge_unlock.errors import AudioError

MIN_RATE_HZ: Final = 8_000  # telephone speech: below it there is no voice to recognise
MAX_RATE_HZ: Final = 192_000  # the fastest rate that sound cards offer
MAX_CHANNELS: Final = 32  # the largest audio interfaces; bounds the memory of a block


class MonoResampler:
    """Streaming conversion of ``channels`` at ``rate_hz`` to 16 kHz mono.

    Of several channels one is heard (``ChannelChooser``). ``origin`` names the input in errors.

    Raises:
        AudioError: the rate is outside 8..192 kHz or there are more than 32 channels.
    """

    def __init__(self, rate_hz: int, channels: int, origin: str) -> None:
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            raise AudioError(
                f"{origin} has a sample rate of {rate_hz} Hz",
                f"Use audio of {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz.",
            )
        if not 1 <= channels <= MAX_CHANNELS:
            raise AudioError(
                f"{origin} has {channels} channels", f"Use audio of 1 to {MAX_CHANNELS} channels."
            )
        self._origin = origin
        self._rate_hz = rate_hz
        self._chooser = ChannelChooser(channels, rate_hz) if channels > 1 else None
        self.reset()

    def reset(self) -> None:
        """Begin another stream: what the filter holds back is dropped."""
        if self._chooser is not None:
            self._chooser.reset()
        self._stream = (
            None
            if self._rate_hz == SAMPLE_RATE_HZ
            else soxr.ResampleStream(self._rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
        )

    def push(self, frames: Samples) -> Samples:
        """Convert float32 ``(n, channels)`` to float32 ``(m,)``; the filter may hold some back.

        Raises:
            AudioError: a sample is NaN or infinite.
        """
        if not np.isfinite(frames).all():
            raise AudioError(
                f"{self._origin} holds samples that are not finite numbers",
                "The recording is damaged; export it again.",
            )
        mono = frames[:, 0] if self._chooser is None else self._chooser.push(frames)
        return self._convert(mono, last=False)

    def flush(self) -> Samples:
        """Return what the filter still holds, float32 ``(m,)``; nothing may be pushed after."""
        rest = np.empty(0, np.float32) if self._chooser is None else self._chooser.flush()
        return self._convert(rest, last=True)

    def _convert(self, mono: Samples, *, last: bool) -> Samples:
        if self._stream is not None:
            mono = self._stream.resample_chunk(np.ascontiguousarray(mono), last=last)
        # float files may exceed full scale, and so may the filter's overshoot
        clipped: Samples = np.clip(mono, -1.0, 1.0)
        return clipped
