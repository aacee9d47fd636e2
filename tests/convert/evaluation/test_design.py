from pathlib import Path

import numpy as np
import pytest

from edge_unlock_convert.corpus import UNSAID, Utterance
from edge_unlock_convert.errors import SpeechError
from edge_unlock_convert.evaluation import design
from edge_unlock_convert.evaluation.design import all_pairs


def people(each: dict[str, int], session: str = UNSAID) -> list[Utterance]:
    return [
        Utterance(Path(f"{name}-{session}-{number}.wav"), "", "c", name, session=session)
        for name, count in each.items()
        for number in range(count)
    ]


def test_every_speaker_is_compared_with_every_other() -> None:
    found = all_pairs(people({"ann": 5, "bob": 4, "cid": 2}), enroll=3)
    assert len(found.templates) == design.ROUNDS * 2  # cid has none to spare
    for number, template in enumerate(found.templates):
        assert len(template) == 3 and len(set(found.speakers[list(template)])) == 1
        tests = set(found.test[found.template == number].tolist())
        assert not tests & set(template)
        assert len(tests) == 5 + 4 + 2 - 2 * 3
    same = found.speakers[found.owners[found.template]] == found.speakers[found.test]
    assert (found.is_target == same).all()
    assert not found.has_sessions and found.apart.all()


def test_sessions_are_kept_apart() -> None:
    utterances = [*people({"ann": 4, "bob": 4}, "monday"), *people({"ann": 3, "bob": 3}, "friday")]
    found = all_pairs(utterances, enroll=3)
    for template in found.templates:
        assert len({utterances[one].session for one in template}) == 1
    for template, test, same in zip(found.template, found.test, found.same_session, strict=True):
        one, other = utterances[found.templates[template][0]], utterances[test]
        assert same == (one.speaker == other.speaker and one.session == other.session)
    assert found.has_sessions
    assert (found.apart == ~found.same_session).all()


def test_the_same_trials_are_drawn_again() -> None:
    utterances = people({"ann": 5, "bob": 4})
    for one, other in zip(all_pairs(utterances, 2), all_pairs(utterances, 2), strict=True):
        assert np.array_equal(one, other)


def test_too_many_nontarget_trials_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(design, "MOST_TRIALS", 200)
    everything = all_pairs(people(dict.fromkeys("abcdefgh", 4)), 2)
    assert everything.is_target.sum() == design.ROUNDS * 8 * 2
    assert len(everything.test) <= 200
    for number in range(len(everything.templates)):
        tests = everything.test[everything.template == number]
        assert len(set(tests.tolist())) == len(tests)


@pytest.mark.parametrize("each", [{"ann": 9}, {"ann": 3, "bob": 2}])
def test_speech_without_trials_is_refused(each: dict[str, int]) -> None:
    with pytest.raises(SpeechError, match="makes no trials"):
        all_pairs(people(each), enroll=3)
