"""Embeds an utterance while it is being spoken, so that at its end almost nothing is left to do."""

from edge_unlock.audio.source import SAMPLE_RATE_HZ, Samples
from edge_unlock.encoder.encoder import Embedding, Encoder
from edge_unlock.segmentation.segment import Segment, Segmenter


class Following:
    """Follows the open utterance of a segmenter with ``encoder``.

    ``embed`` of the segment that it becomes gives what ``Encoder.embed_pieces`` gives of it whole.
    Others may use the encoder in between: what they spoil is embedded again.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._start: int | None = None
        self._pushed = 0
        self._resets = encoder.resets

    def reset(self) -> None:
        """Forget the utterance: after a gap of the stream."""
        self._begin(None)

    def follow(self, segmenter: Segmenter) -> None:
        """Take what is new of the open utterance, if there is one."""
        self._push(segmenter.open_start, segmenter.open_samples)

    @property
    def embedding(self) -> Embedding | None:
        """Of the open utterance so far; None while it is too short."""
        return self._encoder.utterance

    def embed(self, segment: Segment) -> Embedding | None:
        """Embed a segment: what is left of it, if it was followed; None if it is too short."""
        self._push(round(segment.start_s * SAMPLE_RATE_HZ), segment.samples)
        embedding = self._encoder.utterance
        self.reset()
        return embedding

    def _push(self, start: int | None, samples: Samples) -> None:
        """Take what is new of the utterance from ``start``, of which there are ``samples``."""
        if start != self._start or self._encoder.resets != self._resets:
            self._begin(start)
        self._encoder.push(samples[self._pushed :])
        self._pushed = samples.size

    def _begin(self, start: int | None) -> None:
        self._start = start
        self._pushed = 0
        self._encoder.reset()
        self._resets = self._encoder.resets
