import pytest
from wyoming.asr import Transcript
from wyoming.event import Event

from edge_unlock.assistant.answer import Speaker, asked_for
from edge_unlock.scoring.band import Band
from edge_unlock.scoring.recognizer import Decision

ACCEPTED = Decision(
    decision="accepted", user="alice", match=Band.CLEAR, score=0.8, far=1e-5, llr=9.0, threshold=0.5
)


def test_an_acceptance_is_a_name_and_a_band_and_no_score():
    event = Speaker.of(ACCEPTED).identity()
    assert event == Event("identified", {"name": "alice", "context": {"match": "clear match"}})


@pytest.mark.parametrize(
    ("decision", "context"),
    [
        (
            Decision(decision="rejected", user="alice", match=Band.NEAR, score=0.4, reason="no"),
            {"match": "near miss", "reason": "no"},
        ),
        (Decision(decision="retry", reason="too short"), {"reason": "too short"}),
        (
            Decision(decision="locked out", reason="use edge-unlock enable alice"),
            {"reason": "locked out"},
        ),
        (Decision(decision="accepted"), {"reason": "accepted"}),  # of nobody: of no use
    ],
)
def test_all_else_is_nobody(decision, context):
    assert Speaker.of(decision).identity() == Event("not-identified", {"context": context})


def test_of_somebody_else_than_asked_for_nothing_is_told():
    event = Speaker.of(ACCEPTED, ["bob"]).identity()
    assert event.data == {"context": {"reason": "nobody of those asked for"}}


@pytest.mark.parametrize("said", ["[bob] hello", " [bob][x] hello", "[alice]hello", "hello"])
def test_only_who_was_recognised_is_named_by_a_tag(said):
    event = Transcript(said).event()
    known = Speaker(name="alice", match="match").transcript(event, tag=True)
    nobody = Speaker(reason="no match").transcript(event, tag=True)
    assert known.data["text"] == "[alice] hello"
    assert nobody.data["text"] == "hello"
    assert Speaker().transcript(event, tag=False).data["text"] == said


def test_nothing_said_gets_no_tag():
    assert Speaker(name="alice").transcript(Transcript("").event(), tag=True).data["text"] == ""


@pytest.mark.parametrize("text", [{"a": 1}, ["[mallory] hi"], 7, None])
def test_a_text_that_is_none_is_empty(text):
    event = Event("transcript", {"text": text})
    assert Speaker(name="alice").transcript(event, tag=True).data["text"] == ""


@pytest.mark.parametrize("context", [None, 7, ["alice"], {"speaker": "mallory", "match": "match"}])
def test_what_stood_in_a_transcript_before_is_not_believed(context):
    event = Event("transcript", {"text": "hi", "speaker": "mallory", "context": context})
    told = Speaker(reason="no match").transcript(event, tag=False)
    assert told.data["speaker"] is None
    assert told.data["context"] == {"speaker": None, "match": None, "reason": "no match"}


@pytest.mark.parametrize(
    ("names", "asked"), [(None, None), ([], []), ("alice", []), (["A\u0308", 3], ["\u00c4"])]
)
def test_names_that_are_asked_for(names, asked):
    assert asked_for({"names": names}) == asked
