"""Calibration and validation on Gaussian scores, whose likelihood ratio is known."""

import numpy as np
import pytest

from edge_unlock_convert.errors import ConversionError
from edge_unlock_convert.forensic.validation import Line, cross_validated, validate
from edge_unlock_convert.scoring.metrics import Trials, cllr, fit_calibration

APART, SPREAD = 3.0, 1.5
SLOPE = APART / SPREAD**2
"""Scores N(APART, SPREAD) and N(0, SPREAD): the log-likelihood ratio is linear in the score."""
OFFSET = -(APART**2) / (2 * SPREAD**2)


def gaussian(speakers, each, seed=0):
    """Trials of all pairs of speakers, ``each`` of a pair, with independent scores."""
    generator = np.random.default_rng(seed)
    pairs = np.indices((speakers, speakers)).reshape(2, -1).repeat(each, axis=1)
    extra = np.repeat(np.arange(speakers), 10 * each)  # targets are few otherwise
    enrolled, tested = (np.concatenate((one, extra)) for one in pairs)
    scores = generator.normal(APART * (enrolled == tested), SPREAD)
    return Trials(scores, enrolled, tested, np.arange(len(scores)))


def test_the_known_likelihood_ratio_is_found():
    found = validate(gaussian(40, 8), draws=20)
    assert found.line.slope == pytest.approx(SLOPE, rel=0.05)
    assert found.line.offset == pytest.approx(OFFSET, abs=0.08)
    known = SLOPE * found.trials.scores + OFFSET
    assert np.abs(found.scored.llr - known).max() < 0.35
    target, nontarget = known[found.trials.is_target], known[~found.trials.is_target]
    assert found.figures.figures["cllr"].value == pytest.approx(cllr(target, nontarget), abs=0.01)


def test_a_trial_is_judged_by_others():
    """As the words say it: without whoever shares a group with one of its speakers."""
    trials = gaussian(12, 3)
    llr = cross_validated(trials)
    for row in (0, 100, 300, len(llr) - 1):
        groups = {trials.enrolled[row] % 10, trials.tested[row] % 10}
        others = [
            not {one % 10, other % 10} & groups
            for one, other in zip(trials.enrolled, trials.tested, strict=True)
        ]
        weights, offset = fit_calibration(*trials.only(np.array(others)).split())
        assert llr[row] == pytest.approx(weights[0] * trials.scores[row] + offset, abs=1e-9)


def test_one_odd_speaker_shows_in_the_validation():
    """Whoever is like everybody must not teach the calibration that judges him."""
    trials = gaussian(20, 3)
    odd = (trials.enrolled == 3) ^ (trials.tested == 3)
    fooled = trials._replace(scores=np.where(odd, trials.scores + 6, trials.scores))
    seen = Line.fit(*fooled.split()).llr(fooled.scores)[odd]
    assert cross_validated(fooled)[odd].mean() > seen.mean() + 0.5


def test_the_interval_holds_the_known_and_narrows_with_speakers():
    few, many = (validate(gaussian(speakers, 2), 1) for speakers in (12, 60))
    width = []
    for found in (few, many):
        low, high = found.interval(4.0, 60)
        assert low < SLOPE * 4 + OFFSET < high
        width.append(high - low)
    assert width[1] < width[0] / 2


def test_scores_that_tell_nothing_are_refused():
    trials = gaussian(12, 2)
    with pytest.raises(ConversionError, match="no calibration"):
        validate(trials._replace(scores=-trials.scores), 1)


def test_two_runs_are_the_same_to_the_last_digit():
    one, other = (validate(gaussian(50, 30), 5) for _ in range(2))
    assert one.figures == other.figures and one.bounds == other.bounds
    assert (~one.trials.is_target).sum() == 50_000
    assert one.interval(1.0, 5) == other.interval(1.0, 5)
