import numpy as np
import pytest

from edge_unlock.encoder.similarity import Similarity, unit
from edge_unlock_convert.evaluation import scores


@pytest.mark.parametrize("cells", [1, 90, 2**24])
def test_scores_of_pairs_are_those_of_the_whole_matrix(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "MOST_CELLS", cells)
    generator = np.random.default_rng(0)
    cohort, templates, voices = (
        unit(generator.normal(size=(count, 8)).astype(np.float32)) for count in (20, 9, 30)
    )
    similarity = Similarity(cohort, 5, 0.7)
    template, test = generator.integers(0, 9, 100), generator.integers(0, 30, 100)
    found = scores.pair_scores(templates, voices, template, test, similarity)
    every = similarity.scores(templates, voices)
    np.testing.assert_allclose(found, every[template, test], atol=1e-6)
