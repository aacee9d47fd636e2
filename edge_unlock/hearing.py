"""From a source of samples to what was said: utterances, one after the other."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from edge_unlock.audio import SampleSource
from edge_unlock.segment import Segment, Segmenter


@dataclass(frozen=True)
class Heard:
    """One utterance; ``audio_lost`` if the source dropped samples while it was spoken."""

    segment: Segment
    audio_lost: bool


def hear(
    source: SampleSource, segmenter: Segmenter, deadline_s: float | None = None
) -> Iterator[Heard]:
    """Yield each utterance as soon as it has ended, until the source or the time is up.

    ``deadline_s`` is a reading of ``time.monotonic``. An utterance that is still being
    spoken at the deadline is given up. The segmenter starts afresh, also where samples were lost:
    what was said before a gap and after it are never one utterance.
    """
    segmenter.reset()
    overruns = source.overruns
    for block in source.blocks():
        if source.overruns != overruns:  # before this block something is missing
            overruns = source.overruns
            for segment in segmenter.flush():
                yield Heard(segment, audio_lost=True)
        for segment in segmenter.push(block):
            yield Heard(segment, audio_lost=False)
        if deadline_s is not None and time.monotonic() >= deadline_s:
            return
    for segment in segmenter.flush():
        yield Heard(segment, audio_lost=source.overruns != overruns)
