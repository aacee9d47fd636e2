"""The loop: what is judged, what opens, and what is dropped."""

import numpy as np
import pytest

from edge_unlock.actions import Fake as FakeAction
from edge_unlock.errors import ActionError
from edge_unlock.lock.door import Door, Outcome
from edge_unlock.lock.hearing import Heard
from edge_unlock.scoring.recognizer import Decision
from edge_unlock.segmentation.segment import Segment
from edge_unlock.service.listener import Listener
from edge_unlock.service.reporter import Reporter

STEP_S = 0.5
ACCEPTED = Decision(decision="accepted", user="anna")
REJECTED = Decision(decision="rejected")


def utterance(start_s, end_s, *, truncated=False, is_open=False):
    segment = Segment(start_s, end_s, np.zeros(16, np.float32), truncated, -60, -20, 0, 8000)
    return Heard(segment, False, start_s, end_s, is_open=is_open)


class Hearing:
    """Brings each utterance in the step in which it ends; ``between`` is called before each."""

    def __init__(self, utterances, until_s=60.0, between=lambda _: None):
        self.source = self
        self.overruns = 0
        self.position_s = 0.0
        self._utterances = utterances
        self._until_s = until_s
        self._between = between

    def steps(self):
        while self.position_s < self._until_s:
            self._between(self)
            begin_s, self.position_s = self.position_s, self.position_s + STEP_S
            yield [one for one in self._utterances if begin_s < one.end_s <= self.position_s]


class Judge:
    """Accepts everybody, or decides as it is told, and remembers whom it judged."""

    def __init__(self, *decisions):
        self.judged = []
        self.glanced = []
        self._decisions = list(decisions)

    def judge(self, heard):
        (one,) = heard
        self.judged.append(one.start_s)
        return self._decisions.pop(0) if self._decisions else ACCEPTED

    def glance(self, one):
        self.glanced.append(one.end_s)
        return ACCEPTED if one.end_s - one.start_s >= 2 else None


class Log(list):
    def append(self, event, **fields):
        super().append((event, fields.get("action")))


def listening(judge, actions=(), **options):
    log = Log()
    reporter = Reporter([], version="1", model="m", microphone="usb")
    return Listener(judge, Door(actions), log, reporter, **options), log, reporter


def test_an_acceptance_is_acted_on_once_and_logged():
    action = FakeAction("bolt")
    listener, log, reporter = listening(Judge(), [action])
    events = list(listener.events(Hearing([utterance(1, 3)])))
    assert events[0] == ACCEPTED
    assert [one.action for one in events if isinstance(one, Outcome)] == ["bolt"]
    assert action.done == [ACCEPTED]
    assert log == [("unlock done", "bolt")]
    assert reporter.status.decisions[0].user == "anna"
    assert reporter.status.actions[0].outcome == "done"


def test_a_rejection_opens_nothing():
    action = FakeAction()
    listener, log, _ = listening(Judge(REJECTED), [action])
    assert list(listener.events(Hearing([utterance(1, 3)]))) == [REJECTED]
    assert action.done == [] and log == []


def test_a_failing_action_is_logged_and_told():
    broken = ActionError("stuck", "Oil it.", outcome="timed out")
    listener, log, reporter = listening(Judge(), [FakeAction("bolt", error=broken)])
    events = list(listener.events(Hearing([utterance(1, 3)])))
    assert events[-1].error is broken
    assert log == [("unlock timed out", "bolt")]
    assert reporter.status.actions[0].error == "stuck"


def test_what_is_said_while_an_action_runs_or_soon_after_is_dropped():
    action, judge = FakeAction(lasts_s=3600), Judge()
    said = [utterance(start, start + 1) for start in (1, 4, 8, 12, 16, 20)]

    def end_it(hearing):
        if hearing.position_s == 10:
            action.close()
            listener._door.wait()

    listener, _, _ = listening(judge, [action], refractory_s=5)
    list(listener.events(Hearing(said, between=end_it)))
    # the first one opened until 10 s, then nothing is judged until 15 s
    assert judge.judged == [1, 16]


def test_the_refractory_time_holds_without_actions_too():
    judge = Judge()
    listener, _, _ = listening(judge, refractory_s=5)
    list(listener.events(Hearing([utterance(start, start + 1) for start in (1, 3, 6.5, 8)])))
    assert judge.judged == [1, 8]


def test_one_long_utterance_opens_once():
    judge = Judge()
    parts = [utterance(start, start + 10, truncated=start < 30) for start in (0, 10, 20, 30)]
    listener, _, _ = listening(judge)
    list(listener.events(Hearing([*parts, utterance(45, 47)])))
    assert judge.judged == [0, 45]


def test_what_goes_on_after_a_rejected_part_is_judged():
    judge = Judge(REJECTED)
    parts = [utterance(0, 10, truncated=True), utterance(10, 12)]
    listener, _, _ = listening(judge)
    list(listener.events(Hearing(parts)))
    assert judge.judged == [0, 10]


def test_who_was_accepted_while_speaking_is_not_judged_again():
    judge, action = Judge(), FakeAction()
    said = [utterance(0, end, is_open=True) for end in (1, 1.5, 2, 2.5)]
    listener, _, _ = listening(judge, [action])
    list(listener.events(Hearing([*said, utterance(0, 10, truncated=True), utterance(10, 14)])))
    assert judge.glanced == [1, 1.5, 2]
    assert judge.judged == []
    assert action.done == [ACCEPTED]


@pytest.mark.parametrize("pause_s", [0.6, 1.2, 2.9])
def test_the_refractory_time_counts_from_the_end_of_what_opened_early(pause_s):
    judge = Judge()
    again_s = 6 + pause_s
    said = [utterance(0, end, is_open=True) for end in (1, 1.5, 2, 2.5)] + [utterance(0, 6)]
    said += [utterance(again_s, again_s + 2, is_open=True), utterance(again_s, again_s + 4)]
    listener, _, _ = listening(judge, refractory_s=3)
    list(listener.events(Hearing([*said, utterance(16, 18)])))
    assert judge.glanced == [1, 1.5, 2]
    assert judge.judged == [16]


def test_the_refractory_time_counts_from_the_end_of_what_was_cut():
    judge = Judge()
    parts = [utterance(0, 10, truncated=True), utterance(10, 20, truncated=True), utterance(20, 22)]
    listener, _, _ = listening(judge, refractory_s=3)
    list(listener.events(Hearing([*parts, utterance(24, 26), utterance(30, 32)])))
    assert judge.judged == [0, 30]


def test_two_in_one_block_open_once():
    judge, action = Judge(), FakeAction(lasts_s=3600)
    hearing = Hearing([utterance(0.6, 0.7), utterance(0.8, 0.9)], until_s=2)
    listener, _, _ = listening(judge, [action])
    events = listener.events(hearing)
    assert next(events) == ACCEPTED
    action.close()
    list(events)
    assert len(action.done) == 1 and judge.judged[0] == 0.6


def test_recordings_wait_for_the_door():
    action, judge = FakeAction(lasts_s=0.2), Judge()
    said = [utterance(start, start + 1) for start in (1, 3, 5)]
    listener, _, _ = listening(judge, [action])
    list(listener.events(Hearing(said), live=False))
    assert judge.judged == [1, 3, 5] and len(action.done) == 3


def test_the_action_has_begun_before_anything_is_told():
    action = FakeAction()
    listener, _, _ = listening(Judge(), [action])
    assert next(listener.events(Hearing([utterance(1, 3)]))) == ACCEPTED
    listener._door.wait()
    assert action.done == [ACCEPTED]


def test_an_action_that_closing_stops_is_logged():
    action = FakeAction("bolt", lasts_s=3600)
    listener, log, reporter = listening(Judge(), [action])
    with listener:
        assert next(listener.events(Hearing([utterance(1, 3)]))) == ACCEPTED
    assert action.done == [ACCEPTED]
    assert log == [("unlock stopped", "bolt")]
    assert reporter.status.actions[0].outcome == "stopped"
    listener.close()
    assert len(log) == 1


def test_an_outcome_whose_logging_is_broken_off_is_logged_at_the_end():
    class Interrupted(Log):
        def append(self, event, **fields):
            if not self.interrupted:
                self.interrupted = True
                raise SystemExit(143)
            super().append(event, **fields)

    log = Interrupted()
    log.interrupted = False
    reporter = Reporter([], version="1", model="m", microphone="usb")
    with (
        pytest.raises(SystemExit),
        Listener(Judge(), Door([FakeAction("bolt")]), log, reporter) as listener,
    ):
        list(listener.events(Hearing([utterance(1, 3)])))
    assert log == [("unlock done", "bolt")]


def test_an_error_of_the_judge_opens_nothing():
    action = FakeAction()

    class Broken(Judge):
        def judge(self, heard):
            raise OSError("disk full")

    listener, _, _ = listening(Broken(), [action])
    with pytest.raises(OSError):
        list(listener.events(Hearing([utterance(1, 3)])))
    assert action.done == []


def test_each_block_beats_and_overruns_are_counted():
    beats = []
    listener, _, reporter = listening(Judge(), beat=lambda: beats.append(1))

    def lose(hearing):
        hearing.overruns += hearing.position_s == 5

    list(listener.events(Hearing([], until_s=10, between=lose)))
    assert len(beats) == 20
    assert reporter.status.microphone.overruns == 1
    assert reporter.status.state == "listening"


def test_the_decision_is_told_as_a_band_and_without_scores():
    listener, _, reporter = listening(Judge(Decision(decision="rejected", score=0.4, far=0.2)))
    list(listener.events(Hearing([utterance(1, 3)])))
    (seen,) = reporter.status.decisions
    assert seen.decision == "rejected" and not hasattr(seen, "score") and "0.4" not in str(seen)
