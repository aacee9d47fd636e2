import numpy as np
import pytest

from edge_unlock.encoder.features import Float32
from edge_unlock.encoder.similarity import Similarity
from edge_unlock_convert.scoring.trials import score_trials


def voices(speakers: int, utterances: int, spread: float, seed: int = 0) -> tuple:
    generator = np.random.default_rng(seed)
    center = generator.normal(size=(speakers, 1, 16))
    every = center + spread * generator.normal(size=(speakers, utterances, 16))
    every /= np.linalg.norm(every, axis=2, keepdims=True)
    names = np.repeat([f"s{k}" for k in range(speakers)], utterances)
    return every.reshape(-1, 16).astype(np.float32), names


def test_every_other_utterance_is_compared_with_every_template() -> None:
    embeddings, names = voices(4, 5, 0.1)
    trials = score_trials(embeddings, names, enroll=3, draws=2)
    target, nontarget = trials.split()
    assert len(target) == 2 * 4 * 2
    assert len(nontarget) == 2 * 4 * 2 * 3
    assert target.mean() > nontarget.mean()


def test_speakers_of_few_utterances_are_impostors_only() -> None:
    embeddings, names = voices(3, 4, 0.1)
    trials = score_trials(embeddings[:-2], names[:-2], enroll=3, draws=1)
    assert set(trials.enrolled.tolist()) == {0, 1}
    assert set(trials.tested.tolist()) == {0, 1, 2}


def test_tests_replace_the_compared_utterances_only() -> None:
    embeddings, names = voices(3, 4, 0.01)
    silenced = np.roll(embeddings, 4, axis=0)  # everybody speaks with the voice of another
    target, _ = score_trials(embeddings, names, tests=silenced).split()
    clean, _ = score_trials(embeddings, names).split()
    assert clean.min() > target.max()


def test_scores_are_those_of_the_similarity() -> None:
    class Opposite(Similarity):
        def scores(self, templates: Float32, embeddings: Float32) -> Float32:
            return -super().scores(templates, embeddings)

    embeddings, names = voices(3, 4, 0.1)
    plain = score_trials(embeddings, names)
    opposite = score_trials(embeddings, names, similarity=Opposite(None))
    np.testing.assert_array_equal(opposite.scores, -plain.scores)


def test_no_trial_is_an_error() -> None:
    embeddings, names = voices(2, 3, 0.1)
    with pytest.raises(ValueError, match="more than 3"):
        score_trials(embeddings, names)
    with pytest.raises(ValueError, match="two speakers"):
        score_trials(embeddings[:3], names[:3], enroll=1)
