import numpy as np
import pytest

from edge_unlock.encoder.similarity import Similarity, unit

RNG = np.random.default_rng(0)
SIZE = 32


def voices(count, around=None, spread=1.0):
    center = np.zeros(SIZE) if around is None else around
    return unit((center + spread * RNG.normal(size=(count, SIZE))).astype(np.float32))


def test_without_a_cohort_a_score_is_the_cosine():
    a, b = voices(3), voices(4)
    np.testing.assert_allclose(Similarity(None).scores(a, b), a @ b.T, atol=1e-6)


def test_the_mean_of_the_cohort_is_removed_before_the_cosine():
    cohort = voices(50, np.full(SIZE, 0.5))
    a, b = voices(3), voices(4)
    center = cohort.mean(axis=0)
    found = Similarity(cohort).scores(a, b)
    np.testing.assert_allclose(found, unit(a - center) @ unit(b - center).T, atol=1e-6)


def test_a_score_is_the_cosine_less_those_to_the_nearest_strangers():
    cohort, a, b = voices(60), voices(1), voices(1)
    center = cohort.mean(axis=0)
    one, other, rest = (unit(vectors - center) for vectors in (a, b, cohort))
    strangers = [np.sort((side @ rest.T)[0])[-5:].mean() for side in (one, other)]
    expected = (one @ other.T)[0, 0] - 0.6 * np.mean(strangers)
    similarity = Similarity(cohort, closest=5, weight=0.6)
    assert similarity.scores(a, b)[0, 0] == pytest.approx(expected, abs=1e-6)
    assert similarity.scores(b, a)[0, 0] == pytest.approx(expected, abs=1e-6)


def test_every_pair_is_scored_with_its_own_strangers():
    cohort, templates, embeddings = voices(60), voices(3), voices(4)
    similarity = Similarity(cohort, closest=3, weight=0.7)
    together = similarity.scores(templates, embeddings)
    for row, template in enumerate(templates):
        for column, embedding in enumerate(embeddings):
            alone = similarity.scores(template[None], embedding[None])[0, 0]
            assert together[row, column] == pytest.approx(alone, abs=1e-6)


def test_a_threshold_for_rare_voices_serves_a_crowd_too():
    """Two strangers of a common kind of voice have a greater cosine than two others."""
    common = np.zeros(SIZE)
    common[0] = 8.0
    cohort = np.concatenate((voices(50, common), voices(200)))
    crowd, rare = voices(40, common), voices(40)
    apart = ~np.eye(40, dtype=bool)

    def false_accepts_in_the_crowd(similarity):
        threshold = np.percentile(similarity.scores(rare, rare)[apart], 99)
        return np.mean(similarity.scores(crowd, crowd)[apart] >= threshold)

    assert false_accepts_in_the_crowd(Similarity(cohort)) > 0.7
    assert false_accepts_in_the_crowd(Similarity(cohort, closest=3)) < 0.15


@pytest.mark.parametrize("closest", [0, 10])
def test_an_embedding_without_direction_scores_nan(closest):
    cohort = voices(20)
    similarity = Similarity(cohort, closest)
    for broken in (np.full(SIZE, np.nan, np.float32), cohort.mean(axis=0)):
        assert np.isnan(similarity.scores(voices(1), broken[None])).all()
        assert np.isnan(similarity.scores(broken[None], voices(1))).all()


def test_more_closest_than_there_are_is_refused():
    with pytest.raises(ValueError, match="fewer than 21"):
        Similarity(voices(20), closest=21)
