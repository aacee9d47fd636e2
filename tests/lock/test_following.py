import numpy as np
import pytest

from edge_unlock.audio import Fake
from edge_unlock.lock.following import Following
from edge_unlock.lock.hearing import EARLY_FIRST_S, Hearing
from edge_unlock.segmentation.segment import Segmenter
from tests.lock.test_hearing import Losing, stream


def close(embedding, whole):
    return float(embedding.direction @ whole) > 0.9999


def test_what_is_followed_is_embedded_as_if_it_came_whole(encoder):
    segmenter, following = Segmenter(), Following(encoder)
    found, samples = [], stream(3)
    for start in range(0, samples.size, 512):
        for segment in segmenter.push(samples[start : start + 512]):
            found.append((segment, following.embed(segment)))
        following.follow(segmenter)
    assert len(found) >= 3
    for segment, embedding in found:
        whole = encoder.embed_pieces([segment.samples])
        assert close(embedding, whole)
        assert embedding.magnitude == pytest.approx(encoder.magnitude, rel=1e-3)


def test_others_may_use_the_encoder_in_between(encoder):
    segmenter, following = Segmenter(), Following(encoder)
    samples = stream(1)
    for start in range(0, samples.size, 512):
        for segment in segmenter.push(samples[start : start + 512]):
            embedding = following.embed(segment)
            assert close(embedding, encoder.embed_pieces([segment.samples]))
        following.follow(segmenter)
        if start % 5120 == 0:
            encoder.embed_pieces([np.random.default_rng(start).normal(0, 0.1, 8000)])


def test_most_of_the_work_is_done_before_the_end(encoder, monkeypatch):
    pushed = []
    push = encoder.push
    monkeypatch.setattr(
        encoder, "push", lambda samples: (pushed.append(samples.size), push(samples))
    )
    hearing = Hearing(Fake(stream(1)), Segmenter(), encoder)
    for heard in hearing.steps():
        if heard:
            assert pushed[-1] <= 512
            assert sum(pushed) == heard[0].segment.samples.size
            break


def test_without_an_encoder_nothing_is_embedded(encoder):
    for hearing in (Hearing(Fake(stream(1)), Segmenter()),):
        assert [one.embedding for heard in hearing.steps() for one in heard] == [None]


def test_early_ones_grow_and_end_with_the_whole(encoder):
    heard = [
        one
        for step in Hearing(Fake(stream(1)), Segmenter(), encoder, early=True).steps()
        for one in step
    ]
    assert [one.is_open for one in heard] == [True] * (len(heard) - 1) + [False]
    sizes = [one.segment.samples.size for one in heard]
    assert sizes == sorted(sizes)
    assert sizes[0] >= EARLY_FIRST_S * 16000
    assert len({one.start_s for one in heard}) == 1
    for one in heard:
        np.testing.assert_array_equal(
            one.segment.samples, heard[-1].segment.samples[: one.segment.samples.size]
        )
        assert close(one.embedding, encoder.embed_pieces([one.segment.samples]))


def test_time_goes_on_over_gaps(encoder):
    samples = stream(3)
    whole = [one for step in Hearing(Fake(samples), Segmenter()).steps() for one in step]
    gap = int((whole[0].end_s + 0.7) * 16000 / 512)
    parted = [
        one for step in Hearing(Losing(samples, gap), Segmenter(), encoder).steps() for one in step
    ]
    assert len(parted) == len(whole)
    for one, other in zip(parted, whole, strict=True):
        assert abs(one.start_s - other.start_s) < 0.3
        assert one.end_s - one.start_s == pytest.approx(one.segment.samples.size / 16000)
