import numpy as np
import pytest

from edge_unlock.audio import SAMPLE_RATE_HZ
from edge_unlock.renditions import PART_S, renditions

SPEECH = np.arange(2 * SAMPLE_RATE_HZ, dtype=np.float32)


def test_the_last_is_the_speech_as_it_is():
    assert [len(one) for one in renditions(SPEECH, 4)] == [len(SPEECH)] * 4
    np.testing.assert_array_equal(list(renditions(SPEECH, 4))[-1], SPEECH)
    np.testing.assert_array_equal(next(renditions(SPEECH, 1)), SPEECH)


def test_the_others_hold_the_same_parts_in_other_orders():
    first, second, _ = renditions(SPEECH, 3)
    assert not np.array_equal(first, second)
    for one in (first, second):
        np.testing.assert_array_equal(np.sort(one), SPEECH)
        joints = np.flatnonzero(np.diff(one) != 1)
        # all but the last part of the speech, and what it is next to, have the length of one
        lengths = np.diff([-1, *joints, len(one) - 1]) / SAMPLE_RATE_HZ
        assert 4 <= len(lengths) <= 2 / PART_S[0] + 1
        assert (lengths >= PART_S[0]).sum() >= len(lengths) - 1


def test_the_same_speech_gives_the_same_orders():
    for one, other in zip(renditions(SPEECH, 3), renditions(SPEECH, 3), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("length", [0, 1, 100])
def test_what_is_shorter_than_a_part_stays_as_it_is(length):
    for one in renditions(SPEECH[:length], 3):
        np.testing.assert_array_equal(one, SPEECH[:length])
