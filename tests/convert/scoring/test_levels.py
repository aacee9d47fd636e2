import numpy as np
import pytest

from edge_unlock_convert.scoring import metrics
from edge_unlock_convert.scoring.levels import Levels, det_curve, min_cllr
from edge_unlock_convert.scoring.metrics import Trials


def some_trials(trials: int, decimals: int, seed: int = 0) -> Trials:
    """Of seven speakers; few decimals make ties."""
    generator = np.random.default_rng(seed)
    enrolled = generator.integers(0, 7, trials)
    tested = np.where(generator.random(trials) < 0.3, enrolled, generator.integers(0, 7, trials))
    scores = generator.normal(0, 1, trials) + 1.5 * (enrolled == tested)
    return Trials(scores.round(decimals), enrolled, tested, np.arange(trials))


@pytest.mark.parametrize("decimals", [0, 1, 15])
@pytest.mark.parametrize("trials", [12, 300])
def test_levels_lose_nothing(trials: int, decimals: int) -> None:
    scored = some_trials(trials, decimals)
    levels = Levels(scored)
    curve = det_curve(levels.thresholds, levels.weights(levels.counted()))
    every = metrics.det_curve(*scored.split())
    assert curve.eer() == pytest.approx(every.eer(), abs=1e-12)
    for prior in (0.5, 0.01):
        assert curve.min_dcf(prior) == pytest.approx(every.min_dcf(prior), abs=1e-12)
    for far in (0, 0.01, 0.1, 0.5, 1):
        expected = metrics.frr_at_far(*scored.split(), far).frr
        assert curve.frr_at(far) == pytest.approx(expected, abs=1e-12)


def test_a_draw_weighs_trials_as_if_they_were_repeated() -> None:
    scored = some_trials(200, 1)
    levels = Levels(scored)
    times = levels.drawn(np.random.default_rng(4))
    repeated = Trials(*(np.repeat(column, times.astype(int)) for column in scored))
    weights = levels.weights(times)
    assert det_curve(levels.thresholds, weights).eer() == pytest.approx(
        metrics.eer(*repeated.split()), abs=1e-12
    )
    again = Levels(repeated)
    assert min_cllr(weights) == pytest.approx(min_cllr(again.weights(again.counted())), abs=1e-12)


def test_a_trial_counts_as_often_as_both_speakers_were_drawn() -> None:
    scored = Trials(np.arange(4.0), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.arange(4))
    seen = {tuple(Levels(scored).drawn(np.random.default_rng(seed))) for seed in range(20)}
    assert seen == {(2, 0, 0, 0), (1, 1, 1, 1), (0, 0, 0, 2)}


def test_min_cllr_of_separated_and_of_useless_scores() -> None:
    def cost(target: list[float], nontarget: list[float]) -> float:
        tested = np.array([0] * len(target) + [1] * len(nontarget))
        scores = np.array([*target, *nontarget])
        levels = Levels(Trials(scores, np.zeros(len(scores), int), tested, tested))
        return min_cllr(levels.weights(levels.counted()))

    assert cost([2, 3], [0, 1]) == pytest.approx(0)
    assert cost([1, 1], [1, 1, 1]) == pytest.approx(1)
    assert cost([0, 0], [1, 2]) == pytest.approx(1)  # the wrong way: no monotone one helps


@pytest.mark.parametrize("scores", [[1.0, np.nan], [1.0, np.inf]])
def test_scores_that_are_not_finite_are_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        Levels(Trials(np.array(scores), np.array([0, 0]), np.array([0, 1]), np.arange(2)))


def test_one_kind_of_trial_is_refused() -> None:
    with pytest.raises(ValueError, match="present"):
        Levels(Trials(np.array([1.0, 2.0]), np.array([0, 1]), np.array([0, 1]), np.arange(2)))
