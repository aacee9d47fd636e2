"""Trials of the population that are made as the case is."""

from pathlib import Path

import numpy as np
import pytest

from edge_unlock_convert.corpus import UNSAID, Utterance
from edge_unlock_convert.errors import SpeechError
from edge_unlock_convert.evaluation.design import all_pairs
from edge_unlock_convert.forensic.case import Recording
from edge_unlock_convert.forensic.condition import (
    Condition,
    matching,
    sessions_are_known,
    together,
)
from edge_unlock_convert.scoring.metrics import Trials


def people(speakers, each, session=UNSAID):
    return [
        Utterance(Path(f"{speaker}-{session}-{take}"), "", "c", f"s{speaker:02}", session=session)
        for speaker in range(speakers)
        for take in range(each)
    ]


def recordings(seconds):
    return [Recording(Path(str(number)), "", one, "") for number, one in enumerate(seconds)]


def test_a_condition_is_of_the_middle_length():
    found = Condition.of([2.57], [3.0, 9.0, 4.05])
    assert found == Condition(2.5, 1, 4.0, 3)
    assert found.needed == 4 and found.shortest_s == pytest.approx(3.2)


def test_only_recordings_of_the_same_length_or_more_match():
    everybody = people(12, 4)
    seconds = [5.0, 3.3, 3.1, 8.0] * 12
    found = matching(Condition(4.0, 1, 2.0, 2), everybody, recordings(seconds))
    assert set(found % 4) == {0, 1, 3}


def test_too_small_a_population_is_refused_with_what_it_could_do():
    everybody = people(12, 4)
    with pytest.raises(SpeechError, match=r"0 speakers .* 3 recordings of 8.0 s") as raised:
        matching(Condition(10.0, 1, 2.0, 2), everybody, recordings([5.0, 3.37, 3.1, 8.0] * 12))
    assert "--cut 3.3" in raised.value.hint
    with pytest.raises(SpeechError) as raised:
        matching(Condition(1.0, 1, 1.0, 9), everybody, recordings([2.0] * 48))
    assert "fewer known" in raised.value.hint


def test_recordings_together_have_the_mean_of_their_scores():
    everybody = people(3, 6)
    design = all_pairs(everybody, 1)
    scores = np.random.default_rng(0).normal(size=len(design.test))
    speakers = design.speakers
    trials = Trials(
        scores, speakers[design.owners][design.template], speakers[design.test], design.test
    )
    found = together(trials, design, 2)
    template = design.template[0]
    rows = np.flatnonzero((design.template == template) & (speakers[design.test] == 1))
    rows = rows[np.argsort(design.test[rows])]
    pairs = len(rows) // 2
    mine = found.scores[(found.enrolled == trials.enrolled[0]) & (found.tested == 1)][:pairs]
    assert mine == pytest.approx(scores[rows][: 2 * pairs].reshape(-1, 2).mean(axis=1))
    assert found.is_target.sum() == design.is_target.sum() // 5 * 2  # one of five is left over
    assert together(trials, design, 1) is trials


def test_sessions_are_not_mixed():
    everybody = [*people(3, 4, "one"), *people(3, 4, "two")]
    design = all_pairs(everybody, 1)
    number = design.test.astype(float)  # as the score: the mean tells of what it was made
    trials = Trials(number, design.template, design.speakers[design.test], design.test)
    found = together(trials, design, 3)
    own = {(speaker, first) for speaker in range(3) for first in (4 * speaker, 12 + 4 * speaker)}
    assert set(zip(found.tested, found.utterances // 4 * 4, strict=True)) == own
    for mean, speaker, first in zip(found.scores, found.tested, found.utterances, strict=True):
        taken = number[(design.template == found.enrolled[0]) & (design.test // 4 == first // 4)]
        assert len(taken) == 3 and mean // 4 == first // 4 and speaker == first // 4 % 3


def test_sessions_are_told_by_the_speakers_own():
    assert sessions_are_known([*people(3, 3, "one"), *people(3, 3, "two")])
    assert not sessions_are_known(people(3, 3)) and not sessions_are_known(people(3, 3, "one"))
