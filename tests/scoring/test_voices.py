import itertools

import numpy as np
import pytest

from edge_unlock.scoring.voices import group


def margins(*voices):
    """1 between utterances of one voice, -1 between those of two."""
    return np.where(np.equal.outer(voices, voices), 1.0, -1.0)


def test_one_voice_is_one_group():
    assert sorted(group(margins("a", "a", "a"))[0]) == [0, 1, 2]
    assert group(margins("a")) == [[0]]


@pytest.mark.parametrize("voices", sorted(set(itertools.permutations("aaabb"))))
def test_the_order_in_which_they_spoke_decides_nothing(voices):
    groups = group(margins(*voices))
    assert [sorted(numbers) for numbers in groups] == [
        [number for number, voice in enumerate(voices) if voice == name] for name in "ab"
    ]


def test_one_utterance_that_is_unlike_some_stays_with_its_voice():
    unlike = margins("a", "a", "a", "a")
    unlike[0, 1] = unlike[1, 0] = -1
    assert len(group(unlike)) == 1


def test_those_who_are_known_to_be_together_come_first_and_are_not_parted():
    groups = group(margins("a", "b", "b", "b", "a"), together=1)
    assert sorted(groups[0]) == [0, 4]
    assert sorted(group(-np.ones((3, 3)), together=2)[0]) == [0, 1]


def test_what_is_not_a_number_joins_nothing():
    assert len(group(np.full((3, 3), np.nan))) == 3
    assert len(group(np.full((3, 3), np.nan), together=2)) == 2
