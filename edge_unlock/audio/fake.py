"""Samples from memory, for tests of whatever reads a source."""

from collections.abc import Iterator, Sequence

import numpy as np

from edge_unlock.audio.resample import MonoResampler
from edge_unlock.audio.source import BLOCK_SAMPLES, SAMPLE_RATE_HZ, Samples
from edge_unlock.closing import Closing


class Fake(Closing):
    """Plays float ``samples``, ``(n,)`` in [-1, 1], or a list of such blocks as they are.

    ``overruns`` is what the source reports throughout; ``error`` is raised after the last
    block, as by a microphone that is pulled out.

    Raises:
        AudioError: the rate is out of range, or (from ``blocks``) a sample is not finite.
    """

    def __init__(
        self,
        samples: Samples | Sequence[Samples],
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        *,
        name: str = "fake",
        overruns: int = 0,
        error: Exception | None = None,
    ) -> None:
        self.name = name
        self.overruns = overruns
        self.closed = False
        self._error = error
        self._resampler = MonoResampler(sample_rate_hz, 1, name)
        if isinstance(samples, np.ndarray):
            samples = [
                samples[i : i + BLOCK_SAMPLES] for i in range(0, len(samples), BLOCK_SAMPLES)
            ]
        self._pending = iter([np.asarray(block, np.float32) for block in samples])

    def blocks(self) -> Iterator[Samples]:
        """Yield the blocks, resampled to 16 kHz; see `SampleSource.blocks`."""
        for block in self._pending:
            yield self._resampler.push(block[:, np.newaxis])
        tail = self._resampler.flush()
        if tail.size:
            yield tail
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
