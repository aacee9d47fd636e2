import time

import pytest

from edge_unlock.errors import DeviceError
from edge_unlock.scoring.recognizer import Decision
from edge_unlock.service.reporter import Reporter
from edge_unlock.service.status import KEPT


class Remembering:
    def __init__(self):
        self.told = []
        self.closed = 0

    def update(self, status):
        self.told.append(status)

    def close(self):
        self.closed += 1


@pytest.fixture
def observer():
    return Remembering()


@pytest.fixture
def reporter(observer):
    with Reporter([observer], version="1", model="m", microphone="usb") as reporter:
        yield reporter


def test_observers_are_told_of_changes_only(reporter, observer):
    for _ in range(3):
        reporter.ready()
    assert [one.state for one in observer.told] == ["starting", "listening"]
    reporter.close()
    reporter.close()
    assert observer.told[-1].state == "stopping" and observer.closed == 1


def test_the_microphone_goes_and_comes(reporter):
    reporter.ready()
    reporter.microphone(DeviceError("unplugged", "Plug it in."))
    reporter.ready()
    lost = reporter.status
    assert lost.state == "no microphone" and lost.microphone.error == "unplugged"
    reporter.microphone(None)
    assert reporter.status.state == "listening"
    assert reporter.status.microphone.losses == 1 and reporter.status.microphone.error is None


def test_the_last_decisions_are_kept(reporter):
    for number in range(KEPT + 5):
        reporter.decided(Decision(decision="rejected", seconds=float(number)))
    assert [one.seconds for one in reporter.status.decisions] == list(
        map(float, range(5, KEPT + 5))
    )


@pytest.mark.parametrize(
    ("then", "locked"), [("retry", True), ("rejected", False), ("accepted", False)]
)
def test_a_lockout_lasts_until_somebody_is_judged(reporter, then, locked):
    reporter.decided(Decision(decision="locked out", reason="wait", wait_s=1000))
    assert reporter.status.lockout.wait_s == 1000
    reporter.decided(Decision(decision=then, user="anna" if then == "accepted" else None))
    reporter.ready()
    assert (reporter.status.lockout is not None) == locked


@pytest.mark.parametrize(("wait_s", "locked"), [(60, False), (None, True)])
def test_a_lockout_ends_with_its_time(reporter, monkeypatch, wait_s, locked):
    reporter.decided(Decision(decision="locked out", reason="wait", wait_s=wait_s))
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    reporter.ready()
    assert (reporter.status.lockout is not None) == locked
