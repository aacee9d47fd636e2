"""From a source of samples to what was said: utterances, one after the other."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edge_unlock.audio import SampleSource
from edge_unlock.audio.source import SAMPLE_RATE_HZ
from edge_unlock.encoder.encoder import Embedding, Encoder
from edge_unlock.lock.following import Following
from edge_unlock.segmentation.segment import Segment, Segmenter

EARLY_FIRST_S: Final = 1.0
EARLY_STEP_S: Final = 0.5
"""How much speech there must be for a first look at who is still speaking, and between looks."""


@dataclass(frozen=True)
class Heard:
    """One utterance; ``audio_lost`` if the source dropped samples while it was spoken.

    ``start_s`` and ``end_s`` count from where hearing began, and not, as those of the segment, from
    the last gap. ``embedding`` is what it was embedded as while it was spoken, if it was. One that
    ``is_open`` goes on: this is how it begins.
    """

    segment: Segment
    audio_lost: bool
    start_s: float = 0.0
    end_s: float = 0.0
    embedding: Embedding | None = None
    is_open: bool = False


class Hearing:
    """Hears a ``source`` from now on: ``steps``.

    The segmenter starts afresh, also where samples were lost: what was said before a gap and after
    it are never one utterance. With an ``encoder`` utterances are embedded while they are spoken;
    with ``early`` they come while they are still open, too, each time longer. ``deadline_s`` is a
    reading of ``time.monotonic``: what is still being spoken then is given up.
    """

    def __init__(
        self,
        source: SampleSource,
        segmenter: Segmenter,
        encoder: Encoder | None = None,
        *,
        early: bool = False,
        deadline_s: float | None = None,
    ) -> None:
        self.source = source
        self._deadline_s = math.inf if deadline_s is None else deadline_s
        self._segmenter = segmenter
        self._following = None if encoder is None else Following(encoder)
        self._early = early and encoder is not None
        self._samples = 0
        self._origin = 0  # where the segmenter's time began
        self._open_start: int | None = None
        self._next_look_s = EARLY_FIRST_S

    @property
    def position_s(self) -> float:
        """How much was heard so far, in seconds."""
        return self._samples / SAMPLE_RATE_HZ

    def steps(self) -> Iterator[list[Heard]]:
        """Yield for each block of the source the utterances that ended in it: mostly none."""
        self._segmenter.reset()
        overruns = self.source.overruns
        for block in self.source.blocks():
            heard: list[Heard] = []
            if self.source.overruns != overruns:  # before this block something is missing
                overruns = self.source.overruns
                heard += self._break_off(audio_lost=True)
            heard += [self._whole(segment) for segment in self._segmenter.push(block)]
            self._samples += block.size
            yield heard + self._look()
            if time.monotonic() >= self._deadline_s:
                return
        yield self._break_off(audio_lost=self.source.overruns != overruns)

    def _break_off(self, *, audio_lost: bool) -> list[Heard]:
        heard = [self._whole(one, audio_lost=audio_lost) for one in self._segmenter.flush()]
        if self._following is not None:
            self._following.reset()
        self._origin = self._samples
        return heard

    def _whole(self, segment: Segment, *, audio_lost: bool = False) -> Heard:
        following = self._following
        embedding = None if following is None or audio_lost else following.embed(segment)
        return self._heard(segment, audio_lost, embedding)

    def _look(self) -> list[Heard]:
        """Follow the open utterance; return what there is of it, if that is due."""
        if self._following is None:
            return []
        segmenter = self._segmenter
        self._following.follow(segmenter)
        if not self._early:
            return []
        if segmenter.open_start != self._open_start:
            self._open_start, self._next_look_s = segmenter.open_start, EARLY_FIRST_S
        if segmenter.open_samples.size < self._next_look_s * SAMPLE_RATE_HZ:
            return []
        segment = segmenter.open_segment
        if segment is None:
            return []
        self._next_look_s += EARLY_STEP_S
        return [self._heard(segment, False, self._following.embedding, is_open=True)]

    def _heard(
        self,
        segment: Segment,
        audio_lost: bool,
        embedding: Embedding | None,
        *,
        is_open: bool = False,
    ) -> Heard:
        began_s = self._origin / SAMPLE_RATE_HZ
        start_s, end_s = began_s + segment.start_s, began_s + segment.end_s
        return Heard(segment, audio_lost, start_s, end_s, embedding, is_open)


def hear(
    source: SampleSource,
    segmenter: Segmenter,
    deadline_s: float | None = None,
    encoder: Encoder | None = None,
) -> Iterator[Heard]:
    """Yield each utterance as soon as it has ended, until the source or the time is up."""
    for heard in Hearing(source, segmenter, encoder, deadline_s=deadline_s).steps():
        yield from heard
