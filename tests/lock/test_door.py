"""The door: all actions at once, for one acceptance at a time."""

import signal
import threading

import pytest

from edge_unlock.actions import Fake
from edge_unlock.errors import ActionError
from edge_unlock.lock.door import Door
from edge_unlock.scoring.recognizer import Decision

ACCEPTED = Decision(decision="accepted", user="anna")


def test_all_actions_run_for_one_acceptance_and_it_is_told_what_became_of_them() -> None:
    broken = ActionError("stuck", "Oil it.")
    actions = [Fake("bell"), Fake("bolt", error=broken), Fake("lamp")]
    with Door(actions) as door:
        door.open(ACCEPTED)
        door.wait()
        outcomes = {outcome.action: outcome for outcome in door.outcomes()}
        assert door.outcomes() == []
    assert all(action.done == [ACCEPTED] for action in actions)
    assert {name: outcome.error for name, outcome in outcomes.items()} == {
        "bell": None,
        "bolt": broken,
        "lamp": None,
    }


def test_actions_run_at_once() -> None:
    barrier = threading.Barrier(2, timeout=10)

    class Meeting(Fake):
        def run(self, decision: Decision) -> None:
            barrier.wait()

    with Door([Meeting(), Meeting()]) as door:
        door.open(ACCEPTED)
        door.wait()
        assert [outcome.error for outcome in door.outcomes()] == [None, None]


def test_it_opens_once_until_the_actions_are_over() -> None:
    action = Fake(lasts_s=60)
    with Door([action, Fake()]) as door:
        assert not door.is_busy
        door.open(ACCEPTED)
        assert door.is_busy
        with pytest.raises(ActionError, match="open already"):
            door.open(ACCEPTED)
        action.close()
        door.wait()
        assert not door.is_busy
        assert action.done == [ACCEPTED]


@pytest.mark.parametrize("decision", ["rejected", "retry", "locked out"])
def test_nothing_but_an_acceptance_opens(decision: str) -> None:
    action = Fake()
    with Door([action]) as door, pytest.raises(ActionError, match="only an acceptance"):
        door.open(Decision(decision=decision))  # type: ignore[arg-type]
    assert action.done == []


def test_a_defect_of_one_action_is_told_and_leaves_the_others_alone() -> None:
    class Broken(Fake):
        def run(self, decision: Decision) -> None:
            raise ZeroDivisionError("0/0")

    sound = Fake("sound")
    with Door([Broken("broken"), sound]) as door:
        door.open(ACCEPTED)
        door.wait()
        errors = {one.action: one.error for one in door.outcomes()}
    assert "ZeroDivisionError" in str(errors["broken"])
    assert errors["sound"] is None


def test_closing_stops_what_runs_and_opens_for_nobody_any_more() -> None:
    action = Fake(lasts_s=60)
    door = Door([action])
    door.open(ACCEPTED)
    door.close()
    door.close()
    (outcome,) = door.outcomes()
    assert outcome.error is not None and outcome.error.outcome == "stopped"


def test_all_actions_are_closed_at_once_and_each_whatever_becomes_of_another() -> None:
    barrier = threading.Barrier(3, timeout=10)

    class Stubborn(Fake):
        def close(self) -> None:
            barrier.wait()
            super().close()
            if self.name == "broken":
                raise ActionError("stuck")

    actions = [Stubborn(name, lasts_s=60) for name in ("relay", "broken", "command")]
    door = Door(actions)
    door.open(ACCEPTED)
    with pytest.raises(ActionError, match="stuck"):
        door.close()
    assert not door.is_busy and len(door.outcomes()) == 3


def test_what_runs_is_not_forgotten_where_a_signal_breaks_off_the_wait() -> None:
    class Signalled(Exception):
        pass

    def end(*_: object) -> None:
        raise Signalled

    action = Fake("bolt", lasts_s=60)
    before = signal.signal(signal.SIGALRM, end)
    try:
        with Door([action]) as door:
            door.open(ACCEPTED)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(Signalled):
                door.wait()
            assert door.is_busy
    finally:
        signal.signal(signal.SIGALRM, before)
    (outcome,) = door.outcomes()
    assert outcome.error is not None and outcome.error.outcome == "stopped"
