import numpy as np
import pytest

from edge_unlock.encoder import gallery
from edge_unlock.encoder.gallery import Gallery
from edge_unlock.encoder.similarity import Similarity, unit

RNG = np.random.default_rng(0)
SIZE = 24


def voices(count):
    return unit(RNG.normal(size=(count, SIZE)).astype(np.float32) + 0.3)


@pytest.fixture(params=[0, 3], ids=["cosine", "normalized"])
def similarity(request):
    return Similarity(voices(20), request.param, 0.5, neighbours=voices(2))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(gallery, "BLOCK", 7)


@pytest.mark.parametrize("count", [1, 7, 30])
def test_all_at_once_scores_as_one_by_one(similarity, count):
    templates, (embedding,) = voices(count), voices(1)
    expected = [similarity.scores(one[None], embedding[None])[0, 0] for one in templates]
    found = Gallery(similarity, templates).scores(embedding)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("count", "more"), [(1, 5), (2, 0), (10, 0), (10, 3)])
def test_other_people_are_strangers_and_nobody_is_to_himself(similarity, count, more):
    people, (embedding,) = voices(count + more), voices(1)
    templates = people[:count].copy()
    templates[0] = voices(1)  # compared as another than he is: a decoy
    expected = [
        similarity.scores(one[None], embedding[None], np.delete(people, number, axis=0))[0, 0]
        for number, one in enumerate(templates)
    ]
    found = Gallery(similarity, templates, people).scores(embedding)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_has_no_direction_scores_nan(similarity):
    templates = voices(3)
    templates[1] = np.nan
    found = Gallery(similarity, templates).scores(voices(1)[0])
    assert np.isnan(found).tolist() == [False, True, False]
    assert np.isnan(Gallery(similarity, templates).scores(np.full(SIZE, np.nan, np.float32))).all()
