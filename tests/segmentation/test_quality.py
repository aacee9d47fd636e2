import math

import numpy as np
import pytest

from edge_unlock.segmentation.quality import ENROLL_LIMITS, VERIFY_LIMITS, Fault, speech_seconds
from edge_unlock.segmentation.segment import Segment


def segment(
    seconds=2.0, speech_dbfs=-20.0, noise_dbfs=-60.0, clipped_fraction=0.0, bandwidth_hz=8000.0
):
    return Segment(
        start_s=1.0,
        end_s=1.0 + seconds,
        samples=np.zeros(int(seconds * 16000), np.float32),
        truncated=False,
        noise_dbfs=noise_dbfs,
        speech_dbfs=speech_dbfs,
        clipped_fraction=clipped_fraction,
        bandwidth_hz=bandwidth_hz,
    )


@pytest.mark.parametrize("limits", [ENROLL_LIMITS, VERIFY_LIMITS])
@pytest.mark.parametrize(
    ("segments", "fault"),
    [
        ([], Fault.NO_VOICE),
        ([segment(0.3)], Fault.TOO_SHORT),
        ([segment(speech_dbfs=-60.0, noise_dbfs=-90)], Fault.TOO_QUIET),
        ([segment(noise_dbfs=-21.0)], Fault.TOO_NOISY),
        ([segment(clipped_fraction=0.2)], Fault.CLIPPED),
        ([segment(speech_dbfs=math.nan)], Fault.TOO_QUIET),
        ([segment(noise_dbfs=math.nan)], Fault.TOO_NOISY),
        ([segment(clipped_fraction=math.nan)], Fault.CLIPPED),
        ([segment(bandwidth_hz=4000.0)], Fault.NARROW_BAND),
        ([segment(bandwidth_hz=math.nan)], Fault.NARROW_BAND),
        ([segment(), segment(bandwidth_hz=4000.0)], None),
        ([segment()], None),
        ([segment(0.5), segment(0.6)], None),
    ],
)
def test_each_fault_is_found(limits, segments, fault):
    assert limits.fault_of(segments) is fault


def test_enrollment_asks_for_more_than_verification():
    noisy = [segment(2.0, noise_dbfs=-25.0)]
    assert VERIFY_LIMITS.fault_of(noisy) is None
    assert ENROLL_LIMITS.fault_of(noisy) is Fault.TOO_NOISY


def test_every_fault_says_what_to_do():
    assert all(fault.hint for fault in Fault)


def test_seconds_add_up():
    assert speech_seconds([segment(0.5), segment(1.5)]) == pytest.approx(2.0)
