"""That a band tells what is told of it, and no more."""

import math
from itertools import pairwise

import pytest

from edge_unlock.scoring.band import Band
from edge_unlock.scoring.scorer import Scorer


@pytest.mark.parametrize(
    ("accepted", "far", "band"),
    [
        (True, 1e-5, Band.CLEAR),
        (True, 1e-3, Band.CLEAR),
        (True, 2e-3, Band.CLOSE),
        (True, 1e-2, Band.CLOSE),
        (False, 2e-2, Band.NEAR),
        (False, 0.1, Band.NEAR),
        (False, 0.2, Band.NONE),
        (False, 1.0, Band.NONE),
    ],
)
def test_a_band_is_ten_times_as_many_strangers_wide(accepted, far, band):
    assert Band.of(0.0, 0.0, accepted=accepted, far=far, rate=1e-2) is band


def test_without_rates_the_distance_to_the_threshold_stands_in():
    def of(score, threshold=0.5):
        return Band.of(score, threshold, accepted=score >= threshold)

    assert [of(score) for score in (0.7, 0.55, 0.45, 0.3)] == list(Band)
    assert of(math.nan) is of(0.9, math.nan) is Band.NONE


def test_a_rejected_voice_has_two_bands_however_near_it_comes(package):
    scorer = Scorer(package)
    threshold = scorer.threshold()
    rate = scorer.false_accept_rate(threshold)

    def of(score, *, accepted):
        far = scorer.false_accept_rate(score)
        return Band.of(score, threshold, accepted=accepted, far=far, rate=rate)

    below = [of(threshold - step / 1000, accepted=False) for step in range(1, 1000)]
    assert set(below) == {Band.NEAR, Band.NONE}
    changes = sum(one is not other for one, other in pairwise(below))
    assert changes == 1
    assert of(threshold + 1e-6, accepted=True) is Band.CLOSE
    assert of(1.0, accepted=True) is Band.CLEAR


def test_who_is_refused_for_another_reason_is_not_told_of_a_match():
    assert Band.of(0.9, 0.5, accepted=False, far=1e-6, rate=1e-2) in (Band.NEAR, Band.NONE)
