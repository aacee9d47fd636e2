import math

import numpy as np
import pytest

from edge_unlock.encoder.calibration import Calibration, Quality

CALIBRATION = Calibration(
    slope=20.0, offset=-5.0, seconds_weight=-4.0, magnitude_weight=-6.0, magnitudes=(1.0, 4.0)
)


def test_evidence_is_what_the_weights_say():
    found = CALIBRATION.llr(0.5, Quality(2.0, 3.0))
    assert found == pytest.approx(20 * 0.5 - 5 - 4 * math.log(2) - 6 * math.log(1.5))
    # an unknown magnitude counts as the middle one
    assert CALIBRATION.llr(0.5, Quality(2.0)) == CALIBRATION.llr(0.5, Quality(2.0, 2.0))


def test_scores_and_evidence_are_each_other_undone():
    quality = Quality(np.array([0.7, 1.0, 9.0]), np.array([0.5, 2.0, 3.0]))
    scores = np.array([-0.2, 0.4, 0.9])
    np.testing.assert_allclose(CALIBRATION.score(CALIBRATION.llr(scores, quality), quality), scores)


def test_qualities_pick_their_own_rows():
    both = Quality(np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])).only(np.array([2, 0]))
    assert (both.seconds.tolist(), both.magnitude.tolist()) == ([3.0, 1.0], [6.0, 4.0])
    assert Quality(np.array([1.0, 2.0])).only(np.array([1])).magnitude is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"slope": 0.0}, "higher score"),
        ({"slope": math.nan}, "higher score"),
        ({"magnitudes": (2.0, 1.0)}, "ascending"),
        ({"magnitudes": (0.0, 1.0)}, "above 0"),
    ],
)
def test_a_calibration_that_makes_no_sense_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Calibration(**{"slope": 1.0, "offset": 0.0} | wrong)
