from statistics import NormalDist

import numpy as np
import pytest
from scipy.integrate import quad

from edge_unlock_convert.evaluation.figures import measure
from edge_unlock_convert.evaluation.tally import Scored
from edge_unlock_convert.scoring.metrics import Trials

NORMAL = NormalDist()


def quantiles(count: int) -> np.ndarray:
    """What ``count`` draws of the normal distribution are on the average."""
    return np.array([NORMAL.inv_cdf((rank + 0.5) / count) for rank in range(count)])


def scored(target: np.ndarray, nontarget: np.ndarray, **more: object) -> Scored:
    """Scores that are likelihood ratios, each non-target trial of speakers of its own."""
    scores = np.concatenate((target, nontarget))
    enrolled = np.concatenate((np.arange(len(target)) % 10, np.arange(len(nontarget)) % 10))
    tested = enrolled + np.repeat([0, 10], [len(target), len(nontarget)])
    return Scored(Trials(scores, enrolled, tested, np.arange(len(scores))), scores, **more)


def test_likelihood_ratios_of_gaussians_have_the_figures_of_the_closed_form() -> None:
    # those of a calibrated detector are N(d^2 / 2, d^2) and N(-d^2 / 2, d^2)
    distance = 3.0
    spread = distance * quantiles(200_000)
    target, nontarget = distance**2 / 2 + spread, -(distance**2) / 2 + spread
    found = measure(scored(target, nontarget), draws=0).figures
    miss = NormalDist(distance**2 / 2, distance).cdf
    hit = NormalDist(-(distance**2) / 2, distance).cdf
    assert found["eer"].value == pytest.approx(NORMAL.cdf(-distance / 2), rel=1e-3)
    for far in (1e-2, 1e-3, 1e-4):
        frr = NORMAL.cdf(NORMAL.inv_cdf(1 - far) - distance)
        assert found[f"frr_at_far_{far:g}"].value == pytest.approx(frr, rel=1e-2)
    for prior in (1e-2, 1e-3):
        threshold = np.log((1 - prior) / prior)
        cost = miss(threshold) + (1 - prior) / prior * (1 - hit(threshold))
        # the likelihood ratio is the best there is: its threshold is also the least cost
        assert found[f"act_dcf_{prior:g}"].value == pytest.approx(cost, rel=1e-2)
        assert found[f"min_dcf_{prior:g}"].value == pytest.approx(cost, rel=1e-2)
    bits = quad(
        lambda x: NORMAL.pdf(x) * np.logaddexp(0, -(distance**2 / 2 + distance * x)), -12, 12
    )[0] / np.log(2)
    assert found["cllr"].value == pytest.approx(bits, rel=1e-3)
    assert found["min_cllr"].value == pytest.approx(bits, rel=1e-2)


def test_figures_are_those_of_other_programs() -> None:
    # recorded of lir 1.3.1 (Cllr, min Cllr) and scikit-learn 1.9.1 (the ROC, for the rest)
    target, nontarget = 1.5 * quantiles(200) + 2.0, 1.2 * quantiles(3000) - 2.5
    found = measure(scored(target, nontarget), draws=0).figures
    assert found["cllr"].value == pytest.approx(0.2830915150896751, abs=1e-12)
    assert found["min_cllr"].value == pytest.approx(0.16527818241675973, abs=1e-12)
    assert found["eer"].value == pytest.approx(0.0479999999990724, abs=1e-9)
    assert found["min_dcf_0.01"].value == pytest.approx(0.38099999999999995, abs=1e-12)
    assert found["frr_at_far_0.01"].value == pytest.approx(0.125, abs=1e-12)


def test_intervals_hold_the_figures_and_are_the_same_again() -> None:
    generator = np.random.default_rng(0)
    trials = scored(generator.normal(3, 2, 400), generator.normal(-3, 2, 4000))
    found = measure(trials, draws=50)
    for name, figure in found.figures.items():
        assert figure.low <= figure.value <= figure.high, name
    assert found.figures["eer"].high > found.figures["eer"].low
    assert measure(trials, draws=50) == found


def test_where_no_error_was_seen_the_rule_of_three_says_what_may_be() -> None:
    trials = scored(np.linspace(5, 9, 30), np.linspace(-9, -5, 600))
    accepted = {"door": trials.trials.scores > 0}
    figures = measure(trials._replace(accepted=accepted), draws=20).figures
    assert figures["far door"].value == 0 and figures["far door"].high == pytest.approx(3 / 600)
    assert figures["frr door"].high == pytest.approx(3 / 30)
    assert "600 trials" in figures["far door"].note
    assert "too few" in figures["frr_at_far_0.001"].note
    assert not figures["min_cllr"].note


def test_rates_of_decisions_are_those_of_what_is_judged() -> None:
    trials = scored(np.array([5.0, 5, 1, 1]), np.array([0.0, 0, 6, 6]))
    accepted = {"door": trials.trials.scores > 3}
    judged = np.array([True, True, True, False, True, True, True, False])
    figures = measure(trials._replace(accepted=accepted, judged=judged), draws=5).figures
    assert figures["frr door"].value == pytest.approx(1 / 3)
    assert figures["far door"].value == pytest.approx(1 / 3)
    nothing = trials._replace(accepted=accepted, judged=np.zeros(8, bool))
    assert "far door" not in measure(nothing, draws=5).figures


def test_scores_that_nobody_calibrated_have_no_cost_of_calibration() -> None:
    trials = scored(np.array([1.0, 2.0]), np.array([0.0, 1.5]))._replace(llr=None)
    figures = measure(trials, draws=0).figures
    assert "cllr" not in figures and "min_cllr" in figures
