"""Groups are those of the manifest and of what was heard, and the worst is named."""

from pathlib import Path

import numpy as np

from edge_unlock_convert.corpus import UNSAID, Utterance
from edge_unlock_convert.evaluation.breakdown import Group, groups, worst
from edge_unlock_convert.evaluation.design import Design, all_pairs
from edge_unlock_convert.evaluation.figures import Figures, Measured
from edge_unlock_convert.evaluation.listening import Voices
from edge_unlock_convert.evaluation.tally import Scored
from edge_unlock_convert.scoring.metrics import Trials

PEOPLE, TAKES = 8, 12


def a_design(sessions: bool = False) -> Design:
    """Women of 20 years and men of 70, who speak one language each; the last told nothing."""
    utterances = [
        Utterance(
            Path(f"{person}-{take}.wav"),
            "",
            "calls",
            f"calls/{person}",
            "fm"[person % 2],
            ("20", "70", UNSAID)[2 if person == PEOPLE - 1 else person % 2],
            ("it", "el")[person // 4],
            f"day {take % 2}" if sessions else UNSAID,
        )
        for person in range(PEOPLE)
        for take in range(TAKES)
    ]
    return all_pairs(utterances, 3)


def scored(design: Design) -> Scored:
    speakers = design.speakers
    enrolled, tested = speakers[design.owners][design.template], speakers[design.test]
    scores = np.random.default_rng(0).normal(0, 1, len(tested)) + 2 * design.is_target
    # men are harder to tell apart, and so is everybody on another day
    scores[design.is_target & (tested % 2 == 1)] -= 1.5
    scores[design.is_target & ~design.same_session] -= 1
    return Scored(Trials(scores, enrolled, tested, design.test))


def heard(design: Design) -> Voices:
    """Takes 0 to 5 are short, noisy and refused; the last has no speech; all are of a telephone."""
    count = len(design.recordings)
    early = np.arange(count) % TAKES < 6
    snr_db = np.where(early, 5.0, 40.0)
    snr_db[-1] = np.nan
    columns = (np.where(early, 0.8, 3.0), snr_db, np.full(count, 3500.0), np.ones(count))
    return Voices(np.zeros((count, 2), np.float32), *columns, early.astype(np.float32))


def found_by(design: Design) -> dict[tuple[str, str], Group]:
    every = groups(design, scored(design), heard(design), 5)
    return {(one.by, one.name): one for one in every}


def test_groups_are_made_of_what_is_known() -> None:
    assert list(found_by(a_design())) == [
        ("sex", "female"),
        ("sex", "male"),
        ("age", "18 to 39"),
        ("age", "60 and over"),
        ("language", "el"),
        ("language", "it"),
        ("seconds of speech", "under 1 s"),
        ("seconds of speech", "2 to 4 s"),
        ("signal to noise", "under 10 dB"),
        ("signal to noise", "30 dB and more"),
        ("the device", "judges it"),
        ("the device", "asks again"),
    ]  # one corpus and one bandwidth tell nothing apart


def test_both_voices_of_a_trial_are_of_the_group_of_people() -> None:
    design = a_design()
    found = found_by(design)
    women = found["sex", "female"].figures
    assert women.speakers == PEOPLE / 2
    pairs = [
        (design.recordings[design.templates[template][0]].sex, design.recordings[test].sex)
        for template, test in zip(design.template, design.test, strict=True)
    ]
    assert women.figures["eer"].value < found["sex", "male"].figures.figures["eer"].value
    assert women.targets + women.nontargets == pairs.count(("f", "f"))
    assert found["age", "60 and over"].figures.speakers == PEOPLE / 2 - 1


def test_the_same_session_is_set_against_another_day() -> None:
    found = found_by(a_design(sessions=True))
    same, other = found["session", "the same"], found["session", "another day or device"]
    assert same.figures.nontargets == other.figures.nontargets
    assert same.figures.figures["eer"].value < other.figures.figures["eer"].value
    # all other groups are of another day
    sexes = [found["sex", name].figures.targets for name in ("female", "male")]
    assert sum(sexes) == other.figures.targets


def test_the_worst_group_is_named_unless_it_is_too_small() -> None:
    def group(name: str, eer: float, targets: int, speakers: int = 20) -> Group:
        figures = {"eer": Measured(eer, eer, eer)}
        return Group(
            by="corpus",
            name=name,
            figures=Figures(speakers=speakers, targets=targets, nontargets=999, figures=figures),
        )

    large = [group("a", 0.1, 400), group("b", 0.2, 400)]
    small = [group("few trials", 0.9, 30), group("few people", 0.9, 400, 3)]
    assert worst([*large, *small]) == large[1]
    assert worst(small) is None
