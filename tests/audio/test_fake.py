"""The source that ships for tests."""

import numpy as np
import pytest

from edge_unlock.audio import Fake, SampleSource
from edge_unlock.errors import AudioError, DeviceError

RAMP = np.linspace(-1, 1, 1300, dtype=np.float32)


def test_an_array_is_cut_into_blocks() -> None:
    source: SampleSource
    with Fake(RAMP) as source:
        blocks = list(source.blocks())
    assert [b.size for b in blocks] == [512, 512, 276]
    np.testing.assert_array_equal(np.concatenate(blocks), RAMP)
    assert source.closed


def test_blocks_stay_as_they_are() -> None:
    blocks = [RAMP[:100], RAMP[100:]]
    assert [b.size for b in Fake(blocks).blocks()] == [100, 1200]


def test_it_resamples_and_refuses_like_the_others() -> None:
    samples = np.concatenate(list(Fake(np.zeros(48000, np.float32), 48000).blocks()))
    assert samples.size == 16000
    with pytest.raises(AudioError):
        Fake(RAMP, 4000)
    with pytest.raises(AudioError):
        list(Fake(np.array([np.nan], np.float32)).blocks())


def test_it_reports_overruns_and_fails_on_request() -> None:
    source = Fake([RAMP], overruns=2, error=DeviceError("pulled out"))
    assert source.overruns == 2
    blocks = source.blocks()
    assert next(blocks).size == RAMP.size
    with pytest.raises(DeviceError, match="pulled out"):
        next(blocks)
