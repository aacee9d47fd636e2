"""Bounds of evidence, where they are known in closed form."""

import numpy as np
import pytest

from edge_unlock_convert.forensic.bounds import STEP, Bounds, Count, bounds


def test_without_errors_the_bounds_are_the_counts():
    """No trial is wrong but the added one: e^t / (m + 1) may be as large as what is not missed."""
    target, nontarget = np.full(99, 20.0), np.full(999, -20.0)
    low, high = bounds(target, nontarget, Count(99, 999))
    assert high == pytest.approx(np.log(1000 * (1 - 1 / 100)), abs=STEP)
    assert low == pytest.approx(-np.log(100 * (1 - 1 / 1000)), abs=STEP)


def test_fewer_speakers_allow_less():
    target, nontarget = np.full(1000, 20.0), np.full(1000, -20.0)
    wide = bounds(target, nontarget, Count.of(100))
    narrow = bounds(target, nontarget, Count.of(10))
    assert narrow.high < wide.high and narrow.low > wide.low
    assert Count.of(10) == Count(10, 45)


def test_misleading_evidence_ends_where_it_was_seen():
    """One in a hundred strangers reaches 1000: nothing above 100 is supported."""
    target = np.full(1000, 12.0)
    nontarget = np.concatenate((np.full(990, -5.0), np.full(10, np.log(1000))))
    assert np.log(50) < bounds(target, nontarget, Count(1000, 1000)).high < np.log(100)


def test_evidence_that_tells_nothing_supports_nothing():
    generator = np.random.default_rng(0)
    low, high = bounds(generator.normal(size=500), generator.normal(size=500), Count(500, 500))
    assert low > -0.3 and high < 0.3
    assert bounds(np.full(9, -3.0), np.full(9, 3.0), Count(9, 9)) == Bounds(0, 0)


def test_evidence_is_held_within():
    assert [Bounds(-2, 3).hold(one) for one in (-5, 0.5, 9)] == [-2, 0.5, 3]
