"""Joined teachers: distances are those of each, weighed, and only the narrow directions go."""

import numpy as np
import pytest

from edge_unlock.encoder.similarity import unit
from edge_unlock.errors import ConfigError

pytest.importorskip("torch", reason="needs the extra 'train'")
from edge_unlock_convert.training.joint import join
from edge_unlock_convert.training.voices import VoiceSet


def heard(pieces: int, seed: int) -> VoiceSet:
    generator = np.random.default_rng(seed)
    embeddings = [unit(generator.normal(size=(pieces, size)) + 0.5) for size in (6, 4)]
    first, second = (one.astype(np.float32) for one in embeddings)
    nothing = np.zeros(0)
    speakers = np.array(["speech/p"] * pieces)
    return VoiceSet(nothing, nothing, speakers, first, nothing, (second,))


def centred(voices: list[VoiceSet]) -> tuple[np.ndarray, np.ndarray]:
    first = np.concatenate([one.embeddings for one in voices])
    second = np.concatenate([one.further[0] for one in voices])
    return unit(first - first.mean(0)), unit(second - second.mean(0))


def test_cosines_are_the_weighed_mean_of_those_of_the_teachers() -> None:
    voices = [heard(30, 1), heard(20, 2)]
    first, second = centred(voices)
    joined = join(voices, (1.0, 0.5), 0)
    assert [len(one.embeddings) for one in joined] == [30, 20]
    every = np.concatenate([one.embeddings for one in joined])
    expected = (first @ first.T + 0.25 * second @ second.T) / 1.25
    np.testing.assert_allclose(every @ every.T, expected, atol=1e-5)


def test_the_widest_directions_stay() -> None:
    voices = [heard(200, 3)]
    whole, few = (join(voices, (1.0, 0.8), size)[0].embeddings for size in (0, 5))
    assert few.shape == (200, 5)
    np.testing.assert_allclose(few, unit(whole[:, :5]), atol=1e-5)
    variances = whole.var(0)
    assert (np.diff(variances) < 0.02).all()


def test_one_teacher_alone_stays_as_it_is() -> None:
    voices = [heard(9, 4)]
    assert join(voices, (1.0,), 0)[0] is voices[0]
    assert join(voices, (1.0,), 6)[0] is voices[0]


@pytest.mark.parametrize(("weights", "size"), [((1.0, 1.0, 1.0), 0), ((1.0, 1.0), 11)])
def test_what_the_voices_do_not_have_is_refused(weights: tuple[float, ...], size: int) -> None:
    with pytest.raises(ConfigError, match="teachers"):
        join([heard(9, 5)], weights, size)
