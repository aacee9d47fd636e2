"""Words for likelihood ratios."""

import math

import pytest

from edge_unlock_convert.forensic.scale import ratio, support


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.9, "no support"),
        (2, "weak support for the same speaker"),
        (9.9, "weak"),
        (10, "moderate support"),
        (100, "moderately strong"),
        (1_000, "strong support for the same"),
        (10_000, "very strong"),
        (1_000_000, "extremely strong"),
    ],
)
def test_the_bands_are_those_of_the_guideline_on_either_side(value, words):
    llr = math.log(value) + 1e-12
    assert support(llr).startswith(words)
    other = support(-llr)
    assert other == support(llr).replace("the same speaker", "different speakers")


def test_a_ratio_is_not_said_more_exactly_than_it_is_known():
    assert ratio(math.log(1234)) == "1,200"
    assert ratio(-math.log(1234)) == "1/1,200"
    assert ratio(math.log(2.345)) == "2.3"
    assert ratio(0) == "1"
