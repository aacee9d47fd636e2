import math

import msgspec
import numpy as np
import pytest

from edge_unlock.encoder.calibration import Quality
from edge_unlock.encoder.nontarget import NonTarget

RATES, HEIGHTS = (0.5, 0.1, 0.01, 0.001), (0.0, 0.2, 0.4, 0.5)
MODEL = NonTarget(
    offset=-0.1, seconds_weight=0.05, rates=RATES, heights=HEIGHTS, tail=0.04, spread=3.0
)


def test_known_rates_have_their_heights():
    for rate, height in zip(RATES, HEIGHTS, strict=True):
        assert MODEL.threshold(rate) == pytest.approx(height - 0.1)


@pytest.mark.parametrize("rate", [0.3, 0.02, 0.003, 1e-3, 3e-4, 1e-5])
@pytest.mark.parametrize("seconds", [0.6, 1.0, 3.0])
def test_rate_is_the_inverse_of_threshold(rate, seconds):
    quality = Quality(seconds)
    assert MODEL.rate(float(MODEL.threshold(rate, quality)), quality) == pytest.approx(rate)


def test_beyond_what_was_seen_the_rate_falls_exponentially():
    assert MODEL.threshold(1e-3 / math.e) == pytest.approx(MODEL.threshold(1e-3) + 0.04)


def test_more_speech_needs_a_higher_score_within_what_was_learned():
    needed = MODEL.threshold(0.01, Quality(np.array([0.1, 0.6, 1.0, 4.0, 99.0])))
    assert needed[0] == needed[1] < needed[2] < needed[3] == needed[4]


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0, math.nan, math.inf])
def test_what_is_no_rate_has_no_threshold(rate):
    assert math.isnan(MODEL.threshold(rate))


def test_what_is_no_number_is_never_rare():
    assert MODEL.rate(math.nan) == MODEL.rate(math.inf) == 1.0
    assert math.isnan(MODEL.threshold(0.01, Quality(math.nan)))
    assert MODEL.rate(0.9, Quality(math.nan)) == 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"rates": (0.5, 0.6, 0.01, 0.001)},
        {"heights": (0.0, 0.2, 0.2, 0.5)},
        {"heights": (0.0, 0.2, 0.4)},
        {"heights": (0.0, 0.2, 0.4, math.inf)},
        {"offset": math.nan},
        {"tail": 0.0},
        {"tail": math.inf},
        {"spread": 0.5},
        {"rates": (1.0, 0.1, 0.01, 0.001)},
    ],
)
def test_what_is_no_distribution_is_refused(change):
    fields = {**msgspec.to_builtins(MODEL), **change}
    with pytest.raises((ValueError, msgspec.ValidationError)):
        msgspec.convert(fields, type=NonTarget)
