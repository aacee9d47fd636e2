import time

import numpy as np

from edge_unlock.audio import Fake
from edge_unlock.lock.hearing import hear
from edge_unlock.segmentation.segment import Segmenter
from tests import speech


def stream(count):
    """Utterances with pauses between them, in blocks."""
    pause = np.random.default_rng(0).normal(0, 3e-4, 24000).astype(np.float32)
    pieces = [pause]
    for utterance in speech.utterances(count):
        pieces += [0.3 / np.abs(utterance).max() * utterance, pause]
    return np.concatenate(pieces).astype(np.float32)


def test_utterances_come_out_one_by_one():
    heard = list(hear(Fake(stream(3)), Segmenter()))
    assert len(heard) >= 3
    assert not any(utterance.audio_lost for utterance in heard)


def test_the_segmenter_starts_afresh():
    segmenter = Segmenter()
    first = [h.segment.start_s for h in hear(Fake(stream(1)), segmenter)]
    assert [h.segment.start_s for h in hear(Fake(stream(1)), segmenter)] == first


class Losing(Fake):
    """Loses samples at one block."""

    def __init__(self, samples, at_block):
        super().__init__(samples)
        self.at_block = at_block

    def blocks(self):
        for number, block in enumerate(super().blocks()):
            self.overruns = int(number >= self.at_block)
            yield block


def test_an_utterance_with_lost_samples_is_marked_and_the_next_is_not():
    samples = stream(3)
    first = next(iter(hear(Fake(samples), Segmenter()))).segment
    middle_block = int((first.start_s + first.end_s) / 2 * 16000 / 512)
    lost = [h.audio_lost for h in hear(Losing(samples, middle_block), Segmenter())]
    assert lost[0] is True
    assert not any(lost[1:])


def test_people_on_the_two_sides_of_a_gap_are_not_joined():
    one, other = (0.3 / np.abs(u).max() * u for u in speech.utterances(2))
    pause = np.zeros(24000, np.float32)
    samples = np.concatenate([pause, one, other, pause]).astype(np.float32)
    gap_block = (24000 + one.size) // 512
    heard = list(hear(Losing(samples, gap_block), Segmenter()))
    assert heard[0].audio_lost
    assert heard[0].segment.samples.size <= one.size + 4000
    assert not heard[-1].audio_lost
    assert heard[-1].segment.samples.size <= other.size + 4000


def test_nothing_is_yielded_after_the_deadline():
    assert list(hear(Fake(stream(1)), Segmenter(), time.monotonic() - 1)) == []
