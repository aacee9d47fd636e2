import math

import numpy as np
import pytest

from edge_unlock_convert.scoring.metrics import (
    Trials,
    bootstrap_interval,
    cllr,
    det_curve,
    eer,
    fit_calibration,
    frr_at_far,
    min_dcf,
)


def test_eer_of_separated_scores_is_zero() -> None:
    assert eer([2, 3], [0, 1]) == 0


def test_eer_of_reversed_scores_is_one() -> None:
    assert eer([0, 1], [2, 3]) == 1


def test_eer_of_one_error_on_each_side() -> None:
    target = [0.5, 5, 6, 7]
    nontarget = [0, 0, 0, 4]
    assert eer(target, nontarget) == pytest.approx(0.25)


def test_eer_of_equal_scores_is_a_half() -> None:
    assert eer([1, 1], [1, 1, 1]) == pytest.approx(0.5)


def test_eer_of_two_gaussians() -> None:
    generator = np.random.default_rng(0)
    distance = 3.0
    target = generator.normal(distance, 1, 200_000)
    nontarget = generator.normal(0, 1, 300_000)
    expected = 0.5 * math.erfc(distance / 2 / math.sqrt(2))
    assert eer(target, nontarget) == pytest.approx(expected, abs=1e-3)


def test_det_curve_ends_with_everything_rejected() -> None:
    curve = det_curve([1, 2], [0, 1])
    assert curve.far[0] == 1
    assert curve.frr[0] == 0
    assert curve.far[-1] == 0
    assert curve.frr[-1] == 1
    assert (np.diff(curve.far) <= 0).all()


def test_frr_at_far_never_exceeds_the_rate_asked_for() -> None:
    generator = np.random.default_rng(1)
    target, nontarget = generator.normal(2, 1, 500), generator.normal(0, 1, 1000)
    for far in (0, 1e-3, 1e-2, 0.1, 1):
        frr, threshold = frr_at_far(target, nontarget, far)
        assert np.mean(nontarget >= threshold) <= far
        assert frr == np.mean(target < threshold)
    assert np.mean(nontarget >= frr_at_far(target, nontarget, 1e-2).threshold) == 1e-2


def test_frr_at_far_with_ties_stays_below_the_rate() -> None:
    _, threshold = frr_at_far([1.0], [0, 0.5, 0.5, 0.5], 0.25)
    assert threshold > 0.5


def test_min_dcf_of_useless_scores_is_one() -> None:
    assert min_dcf([1, 1], [1, 1]) == pytest.approx(1)
    assert min_dcf([2, 3], [0, 1]) == 0


def test_calibration_of_gaussians_is_their_likelihood_ratio() -> None:
    generator = np.random.default_rng(2)
    target = generator.normal(0.6, 0.2, 50_000)
    nontarget = generator.normal(0.1, 0.2, 200_000)
    (slope,), offset = fit_calibration(target, nontarget)
    assert slope == pytest.approx(0.5 / 0.04, rel=0.05)
    assert -offset / slope == pytest.approx(0.35, abs=0.01)
    assert cllr(slope * target + offset, slope * nontarget + offset) < 0.4


def test_calibration_of_separated_scores_is_finite() -> None:
    (slope,), offset = fit_calibration([0.8, 0.9], [0.1, 0.2])
    assert slope > 0
    assert np.isfinite([slope, offset]).all()
    assert slope * 0.8 + offset > 0 > slope * 0.2 + offset


def test_calibration_with_the_quality_of_each_trial_is_their_likelihood_ratio() -> None:
    # scores of long speech are of N(1, 1) and N(0, 1), those of short speech 0.5 higher
    generator = np.random.default_rng(3)
    short = generator.integers(0, 2, 100_000)
    target = generator.normal(1.0, 1.0, len(short)) + 0.5 * short
    nontarget = generator.normal(0.0, 1.0, len(short)) + 0.5 * short
    weights, offset = fit_calibration(
        np.column_stack((target, short)), np.column_stack((nontarget, short))
    )
    assert weights == pytest.approx([1.0, -0.5], abs=0.03)
    assert offset == pytest.approx(-0.5, abs=0.03)


def test_a_quality_that_never_varies_has_no_weight() -> None:
    weights, _ = fit_calibration([[0.8, 2.0], [0.4, 2.0]], [[0.5, 2.0], [0.1, 2.0]])
    assert weights[1] == 0


def test_calibration_refuses_scores_that_run_the_wrong_way() -> None:
    with pytest.raises(ValueError, match="do not score higher"):
        fit_calibration([0.1], [0.9, 0.8])


def test_cllr_of_no_evidence_is_one_bit() -> None:
    assert cllr([0, 0], [0]) == pytest.approx(1)


@pytest.mark.parametrize("target", [[], [float("nan")], [float("inf")]])
def test_scores_that_are_absent_or_not_finite_are_refused(target: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        eer(target, [1.0])


def test_bootstrap_interval_holds_the_figure_and_widens_with_few_speakers() -> None:
    generator = np.random.default_rng(3)

    def interval(speakers: int) -> tuple[float, float, float]:
        enrolled, tested = (a.ravel() for a in np.indices((speakers, speakers * 5)))
        tested = tested % speakers
        skill = generator.normal(0, 1, speakers)
        scores = generator.normal(0, 1, len(enrolled)) + (enrolled == tested) * (3 + skill[tested])
        trials = Trials(scores, enrolled, tested, np.arange(len(scores)))
        low, high = bootstrap_interval(eer, trials, draws=100)
        return low, eer(*trials.split()), high

    low, figure, high = interval(40)
    assert low <= figure <= high
    few_low, _, few_high = interval(8)
    assert few_high - few_low > high - low


def test_bootstrap_interval_is_reproducible() -> None:
    columns = [[3, 1, 0, 4, 0, 1], [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0]]
    scores, enrolled, tested = map(np.array, columns)
    trials = Trials(scores.astype(float), enrolled, tested, np.arange(len(scores)))
    first = bootstrap_interval(eer, trials, seed=7)
    assert first == bootstrap_interval(eer, trials, seed=7)
