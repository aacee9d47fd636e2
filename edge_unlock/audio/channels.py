"""Which of several channels is heard."""

from typing import Final

import numpy as np

from edge_unlock.audio.source import BLOCK_SAMPLES, SAMPLE_RATE_HZ, Samples

BAND_LAG_S: Final = 0.00025
"""x[t] - x[t - lag], twice, passes the middle of speech, but no offset and hardly any hum."""

MEMORY: Final = 0.9
"""Weight of the past in a channel's level, a frame: about 0.3 s."""

BETTER: Final = 4.0
"""Another channel is taken when it is so much (6 dB) louder: channels alike are not swapped."""

CLIPPED_LEVEL: Final = 0.999
CLIPPED_SHARE: Final = 0.01
CLIPPED_WORTH: Final = 1e-3
"""A channel that is clipped is heard only where the others are softer by 30 dB."""

CLIPPED_FRAMES: Final = 64
"""So long (2 s) a channel counts as clipped after it was: it is louder between the peaks, too."""


class ChannelChooser:
    """Takes one of ``channels`` at ``rate_hz``: the one in which most of the voice is.

    They are not added up: one that is inverted would silence the other, one that is clipped or
    broken spoil it. The choice is made anew every 32 ms of the stream and does not depend on how
    the stream is divided.
    """

    def __init__(self, channels: int, rate_hz: int) -> None:
        self._frame = round(BLOCK_SAMPLES * rate_hz / SAMPLE_RATE_HZ)
        self._lag = max(1, round(BAND_LAG_S * rate_hz))
        self._channels = channels
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._pending: Samples = np.empty((0, self._channels), np.float32)
        self._levels = np.zeros(self._channels)
        self._since_clipped = np.full(self._channels, CLIPPED_FRAMES)
        self._chosen = 0

    def push(self, frames: Samples) -> Samples:
        """Take float32 ``(n, channels)``, give ``(m,)``: the rest of a 32 ms frame waits."""
        frames = np.concatenate((self._pending, frames))
        whole = len(frames) // self._frame * self._frame
        self._pending = frames[whole:]
        heard = [
            self._choose(one) for one in frames[:whole].reshape(-1, self._frame, self._channels)
        ]
        return np.concatenate(heard) if heard else np.empty(0, np.float32)

    def flush(self) -> Samples:
        """Give what waits, float32 ``(m,)``."""
        rest = self._pending[:, self._chosen]
        self._pending = self._pending[:0]
        return rest

    def _choose(self, frame: Samples) -> Samples:
        """Judge a whole frame (n, channels); give the samples (n,) of the chosen channel."""
        once = frame[self._lag :] - frame[: -self._lag]
        power = (once[self._lag :] - once[: -self._lag]).var(axis=0)
        self._levels = MEMORY * self._levels + (1 - MEMORY) * power
        clipped = (np.abs(frame) >= CLIPPED_LEVEL).mean(axis=0) > CLIPPED_SHARE
        self._since_clipped = np.where(clipped, 0, self._since_clipped + 1)
        worth = np.where(self._since_clipped < CLIPPED_FRAMES, CLIPPED_WORTH, 1.0) * self._levels
        best = int(worth.argmax())
        if worth[best] > BETTER * worth[self._chosen]:
            self._chosen = best
        chosen: Samples = frame[:, self._chosen]
        return chosen
