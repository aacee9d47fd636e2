"""What a device learns of its place, on voices that are what they are by construction."""

import numpy as np
import pytest

from edge_unlock.encoder.calibration import Quality
from edge_unlock.encoder.similarity import unit
from edge_unlock.errors import CalibrationError
from edge_unlock.scoring.place import (
    ENOUGH_VOICES,
    GREATEST_FALL,
    MOST_UTTERANCES,
    MOST_VOICES,
    PRIOR_VOICES,
    Share,
    Utterance,
    survey,
)
from edge_unlock.scoring.scorer import Scorer
from edge_unlock.vault import Template

QUALITY = Quality(2.0, 2.0)
NOISE = 0.5
RNG = np.random.default_rng(0)


@pytest.fixture
def scorer(package):
    return Scorer(package)


class Crowd:
    """People whose utterances lie about their own direction, and all about a ``common`` one."""

    def __init__(self, package, common=0.0):
        size = package.manifest.encoder.embedding_size
        self._center = package.cohort.mean(axis=0)
        self._common = common * unit(RNG.normal(size=size).astype(np.float32))

    def person(self, count, noise=NOISE):
        size = len(self._center)
        own = unit(RNG.normal(size=size).astype(np.float32)) + self._common
        said = own + noise * unit(RNG.normal(size=(count, size)).astype(np.float32))
        return unit(self._center + said)

    def owner(self, name, count=5):
        return Template(name, self.person(count), "", 1, None)

    def others(self, people, each=3):
        return [Utterance(row, QUALITY) for _ in range(people) for row in self.person(each)]


def common_at_threshold(scorer):
    """What a crowd has in common whose cosines are about as high as the threshold."""
    alike = scorer.threshold(quality=QUALITY)
    return np.sqrt((1 + NOISE**2) * alike / (1 - alike))


def test_every_other_person_becomes_one_voice(package, scorer):
    crowd = Crowd(package)
    owners = [crowd.owner("anna"), crowd.owner("boris")]
    found = survey(scorer, owners, crowd.others(12))
    assert len(found.voices) == 12
    np.testing.assert_allclose(np.linalg.norm(found.voices, axis=1), 1, atol=1e-5)
    assert found.owners == ()
    assert found.accepted == Share(0, 12 * 3 * 2, 12 * 2)
    assert found.rejected == Share(0, 10, 10)
    assert found.advice == []


def test_an_owner_who_speaks_too_is_no_stranger(package, scorer):
    crowd = Crowd(package)
    anna, boris = crowd.owner("anna", 8), crowd.owner("boris")
    said = [Utterance(row, QUALITY) for row in anna.embeddings[5:]]
    alone = Template("anna", anna.embeddings[:5], "", 1, None)
    found = survey(scorer, [alone, boris], crowd.others(5) + said)
    assert found.owners == ("anna",)
    assert len(found.voices) == 5
    assert found.accepted.count == 0


def test_where_all_voices_are_alike_thresholds_rise_and_keep_them_out(package, scorer):
    crowd = Crowd(package, common=common_at_threshold(scorer))
    owners = [crowd.owner(name) for name in "abcde"]
    found = survey(scorer, owners, crowd.others(20))
    assert found.accepted_before.rate > 0.02
    assert found.accepted.rate < found.accepted_before.rate / 2
    # of that place: people who were not heard
    placed = scorer.placed(found.voices, found.shift)
    for other in crowd.others(20):
        template = scorer.template(owners[0].embeddings)
        before, after = (
            scorer.score(template, other.embedding),
            placed.score(template, other.embedding),
        )
        assert after < before


def test_few_voices_move_a_threshold_little(package, scorer, monkeypatch):
    """It is as if some more had said that the place is like any other."""
    crowd = Crowd(package, common=1.2 * common_at_threshold(scorer))
    owner, others = crowd.owner("anna"), crowd.others(6)
    monkeypatch.setattr("edge_unlock.scoring.place.GREATEST_RISE", 1)
    drawn = survey(scorer, [owner], others).shift
    monkeypatch.setattr("edge_unlock.scoring.place.PRIOR_VOICES", 0)
    assert drawn > 0
    assert drawn == pytest.approx(survey(scorer, [owner], others).shift * 6 / (6 + PRIOR_VOICES))


def test_only_many_voices_make_a_threshold_fall_and_not_far(package, scorer):
    """These people are less like one another than any that were ever heard."""
    crowd = Crowd(package)
    owner, others = crowd.owner("anna"), crowd.others(ENOUGH_VOICES + 2)
    assert survey(scorer, [owner], others[: 3 * (ENOUGH_VOICES - 1)]).shift == 0
    assert survey(scorer, [owner], others).shift == -GREATEST_FALL


def test_a_place_of_fewer_than_three_voices_is_not_known(package, scorer):
    crowd = Crowd(package)
    for people in (0, 2):
        with pytest.raises(CalibrationError, match=f"heard: {people}$"):
            survey(scorer, [crowd.owner("anna")], crowd.others(people, 8))


def test_before_anybody_is_enrolled_the_voices_are_learned_alone(package, scorer):
    found = survey(scorer, [], Crowd(package).others(5))
    assert len(found.voices) == 5
    assert found.shift == 0
    assert found.accepted.trials == found.rejected.trials == 0
    assert found.accepted.interval == (0, 1)


def test_advice_is_given_where_it_is_needed(package, scorer):
    crowd = Crowd(package)
    hoarse = Template("anna", crowd.person(5, noise=3.0), "", 1, None)
    found = survey(scorer, [hoarse], crowd.others(4))
    assert f"{ENOUGH_VOICES} or more" in found.advice[0]
    assert "enroll --add" in found.advice[1]


def test_a_long_broadcast_costs_no_more_than_a_long_enough_one(package, scorer):
    found = survey(scorer, [], Crowd(package).others(2 * MOST_UTTERANCES, each=1))
    assert ENOUGH_VOICES < len(found.voices) <= MOST_VOICES


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (Share(10, 100, 100), (0.0552, 0.1744)),  # Wilson's interval, as in Agresti and Coull, 1998
        (Share(0, 100, 100), (0.0, 0.03)),  # the rule of three
        (Share(0, 100, 2), (0.0, 1.0)),
        (Share(0, 0, 0), (0.0, 1.0)),
    ],
)
def test_intervals(share, expected):
    assert share.interval == pytest.approx(expected, abs=1e-4)
