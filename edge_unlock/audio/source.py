"""What every source of samples offers."""

from collections.abc import Iterator
from types import TracebackType
from typing import Final, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ: Final = 16_000  # what the VAD and the encoder were trained on
BLOCK_SAMPLES: Final = 512  # 32 ms: one chunk of the VAD, so that live sources add no delay

Samples: TypeAlias = npt.NDArray[np.float32]


class SampleSource(Protocol):
    """An open stream of samples and a context manager.

    ``name`` is for people. ``overruns`` counts how often input was lost before the end of the
    block that was yielded last; whoever judges a voice must not join what lies on the two sides
    of a gap.
    """

    name: str
    overruns: int

    def blocks(self) -> Iterator[Samples]:
        """Yield blocks of float32 ``(n,)``, mono, 16 kHz, in [-1, 1], until the input ends.

        Live sources yield about 512 samples at a time, files about 8192; a block of none
        says that nothing has come for a while. A source is read once: a second call goes on
        where the first stopped.

        Raises:
            AudioError: the input holds no audio, or cannot be decoded.
            DeviceError: the microphone stopped delivering.
        """

    def close(self) -> None:
        """Release what the source holds; calling it again does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
