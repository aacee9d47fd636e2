"""That what is learned of strangers' scores is what they were drawn from."""

import numpy as np
import pytest
from scipy.stats import norm

from edge_unlock.encoder.calibration import Quality
from edge_unlock_convert.scoring.nontarget import UNKNOWN_SPREAD, Group, fit_nontarget


def group(seconds, mean=-0.1, count=40_000, seed=0, enrolled=3):
    """Normal scores of deviation 0.15, whose mean grows by 0.05 with each ln(second).

    It falls by 0.06 times what 1/n exceeds 1/3 by.
    """
    generator = np.random.default_rng(seed + int(10 * seconds))
    mean += 0.05 * np.log(seconds) - 0.06 * (1 / enrolled - 1 / 3)
    return Group(generator.normal(mean, 0.15, count), np.full(count, seconds), enrolled)


def test_the_distribution_is_found_again():
    found = fit_nontarget({"one": [group(1.0), group(2.0), group(4.0)]})
    assert found.seconds_weight == pytest.approx(0.05, abs=0.005)
    assert found.enrolled_weight == 0
    for seconds in (1.0, 3.0):
        for rate in (0.1, 0.01, 0.001):
            exact = norm.isf(rate, -0.1 + 0.05 * np.log(seconds), 0.15)
            assert found.threshold(rate, Quality(seconds)) == pytest.approx(exact, abs=0.02)


def test_a_template_of_one_utterance_is_less_like_strangers():
    found = fit_nontarget({"one": [group(1.0), group(1.0, enrolled=1), group(2.0), group(4.0)]})
    assert found.enrolled_weight == pytest.approx(0.06, abs=0.01)
    exact = norm.isf(0.01, -0.1 - 0.04, 0.15)
    assert found.threshold(0.01, Quality(1.0), 1) == pytest.approx(exact, abs=0.02)
    assert found.rate(exact, Quality(1.0), 1) == pytest.approx(0.01, rel=0.2)


def test_the_tail_is_never_bolder_than_the_scores():
    found = fit_nontarget({"one": [group(1.0), group(2.0)]})
    exact = norm.isf(1e-4, -0.1, 0.15)
    assert exact < found.threshold(1e-4) < exact + 0.1


def test_corpora_weigh_alike_whatever_their_size():
    small, large = group(1.0, mean=0.0, count=4_000), group(1.0, mean=-0.2, count=40_000)
    assert fit_nontarget({"a": [small], "b": [large]}).threshold(0.5) == pytest.approx(
        -0.1, abs=0.02
    )


def test_the_spread_is_that_of_a_corpus_that_was_left_out():
    alike = fit_nontarget({"a": [group(1.0)], "b": [group(1.0, seed=1)]})
    assert alike.spread < 1.3
    shifted = 0.15
    apart = fit_nontarget({"a": [group(1.0)], "b": [group(1.0, mean=-0.1 + shifted)]})
    expected = norm.sf(norm.isf(0.01, 0, 0.15) - shifted, 0, 0.15) / 0.01
    assert apart.spread >= 0.9 * expected
    assert fit_nontarget({"a": [group(1.0)]}).spread == UNKNOWN_SPREAD


def test_no_trials_teach_nothing():
    with pytest.raises(ValueError, match="no non-target"):
        fit_nontarget({"a": []})
