"""Empirical cross-entropy, against Cllr and against what is known of neutral evidence."""

import numpy as np
import pytest

from edge_unlock_convert.forensic.entropy import cross_entropy, ideal
from edge_unlock_convert.scoring.levels import Levels, min_cllr
from edge_unlock_convert.scoring.metrics import Trials, cllr


@pytest.fixture
def trials():
    generator = np.random.default_rng(1)
    return generator.normal(2, 2, 400), generator.normal(-2, 2, 900)


def test_at_even_odds_it_is_the_cllr(trials):
    assert cross_entropy(*trials, np.zeros(1))[0] == pytest.approx(cllr(*trials), abs=1e-12)


def test_neutral_evidence_leaves_the_entropy_of_the_prior():
    odds = np.linspace(-5, 5, 21)
    prior = 1 / (1 + np.exp(-odds))
    entropy = -prior * np.log2(prior) - (1 - prior) * np.log2(1 - prior)
    assert cross_entropy(np.zeros(3), np.zeros(4), odds) == pytest.approx(entropy, abs=1e-12)


def test_the_ideal_is_the_min_cllr_and_never_worse(trials):
    target, nontarget = trials
    scores = np.concatenate(trials)
    enrolled = np.zeros(len(scores), int)
    tested = np.repeat((0, 1), (len(target), len(nontarget)))
    levels = Levels(Trials(scores, enrolled, tested, np.arange(len(scores))))
    best = cross_entropy(*ideal(*trials), np.zeros(1))[0]
    assert best == pytest.approx(min_cllr(levels.weights(levels.counted())), abs=1e-9)
    odds = np.linspace(-5, 5, 21)
    assert (cross_entropy(*ideal(*trials), odds) <= cross_entropy(*trials, odds) + 1e-12).all()


def test_perfect_separation_leaves_nothing():
    found = ideal(np.array([1.0, 2.0]), np.array([-1.0, 0.0]))
    assert np.isposinf(found[0]).all() and np.isneginf(found[1]).all()
    assert cross_entropy(*found, np.zeros(1))[0] == 0
