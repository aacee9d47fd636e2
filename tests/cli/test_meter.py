import numpy as np
import pytest

from edge_unlock.audio import Fake
from edge_unlock.cli.meter import Meter

RNG = np.random.default_rng(0)


def noise(seconds, dbfs):
    return RNG.normal(0, 10 ** (dbfs / 20), round(16000 * seconds)).astype(np.float32)


def lines(samples, speaking=True):
    drawn = []
    with Meter(Fake(samples), lambda: speaking, drawn.append) as meter:
        passed = np.concatenate(list(meter.blocks()))
    np.testing.assert_array_equal(passed, np.clip(samples, -1, 1))
    assert not drawn[-1].strip()
    return drawn[:-1]


@pytest.mark.parametrize(
    ("voice_dbfs", "room_dbfs", "said"),
    [(-20, -60, None), (-50, -70, "too quiet"), (-20, -25, "too noisy"), (0, -60, "clipped")],
)
def test_it_says_what_is_wrong_while_one_speaks(voice_dbfs, room_dbfs, said):
    drawn = lines(np.concatenate([noise(1, room_dbfs), noise(1, voice_dbfs)]))
    assert drawn[-1].count("#") == pytest.approx(30 * (1 + voice_dbfs / 60), abs=1.1)
    faults = [word for word in ("too quiet", "too noisy", "clipped") if word in drawn[-1]]
    assert faults == ([said] if said else [])


def test_a_quiet_room_is_no_fault():
    assert not any("too" in line for line in lines(noise(2, -70), speaking=False))


def test_an_offset_is_no_level():
    assert "#" not in lines(noise(1, -90) + np.float32(0.1), speaking=False)[-1]


def test_it_closes_its_source():
    source = Fake(noise(0.5, -60))
    with Meter(source, lambda: False, lambda _: None):
        pass
    assert source.closed
