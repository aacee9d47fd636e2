"""From embeddings to likelihood ratios, where these are known in closed form."""

from pathlib import Path

import numpy as np
import pytest

from edge_unlock.encoder.similarity import Similarity
from edge_unlock_convert.corpus import Utterance
from edge_unlock_convert.evaluation.design import all_pairs
from edge_unlock_convert.evaluation.scores import trials_of
from edge_unlock_convert.forensic.condition import together
from edge_unlock_convert.forensic.validation import validate
from edge_unlock_convert.scoring.metrics import cllr

SPEAKERS, TAKES, SIZE, WITHIN = 40, 8, 48, 3.0
"""Embeddings are N(speaker, WITHIN) in each of SIZE dimensions, speakers N(0, 1)."""


def known_llr(template, test, enrolled, tested):
    """Of means (n, SIZE) of so many embeddings each: the two-covariance model.

    Brümmer and de Villiers, "The speaker partitioning problem" (2010).
    """
    one, other = 1 + WITHIN / enrolled, 1 + WITHIN / tested
    apart = template**2 / one + test**2 / other
    determinant = one * other - 1
    same = (other * template**2 - 2 * template * test + one * test**2) / determinant
    return (apart - same + np.log(one * other / determinant)).sum(axis=1) / 2


@pytest.fixture(scope="module")
def people():
    generator = np.random.default_rng(4)
    voices = generator.normal(size=(SPEAKERS, 1, SIZE))
    takes = generator.normal(0, np.sqrt(WITHIN), (SPEAKERS, TAKES, SIZE))
    utterances = [
        Utterance(Path(f"{speaker}-{take}"), "", "c", f"s{speaker:02}")
        for speaker in range(SPEAKERS)
        for take in range(TAKES)
    ]
    return utterances, (voices + takes).reshape(-1, SIZE).astype(np.float32)


@pytest.mark.parametrize(("enrolled", "tested"), [(1, 1), (3, 1), (3, 2)])
def test_the_evidence_is_nearly_that_of_the_model(people, enrolled, tested):
    """A cosine does not know the lengths, and a mean of scores is not quite one of embeddings."""
    utterances, embeddings = people
    design = all_pairs(utterances, enrolled)
    trials = trials_of(design, embeddings, embeddings, Similarity(None))
    means = np.stack([embeddings[list(one)].mean(axis=0) for one in design.templates])
    known = known_llr(means[design.template], embeddings[design.test], enrolled, 1)
    found = validate(together(trials, design, tested), draws=10)
    target, nontarget = found.scored.trials.split()
    if tested == 1:
        assert np.corrcoef(known, trials.scores)[0, 1] > 0.9
        best = cllr(known[design.is_target], known[~design.is_target])
        assert cllr(target, nontarget) == pytest.approx(best, abs=0.04)
    figures = found.figures.figures
    assert figures["cllr"].value - figures["min_cllr"].value < 0.03
