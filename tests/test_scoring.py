import math

import msgspec
import numpy as np
import pytest

from edge_unlock.model import Calibration
from edge_unlock.scoring import Scorer, accepts
from edge_unlock.similarity import Similarity, unit

RNG = np.random.default_rng(0)


@pytest.fixture
def scorer(package):
    return Scorer(package)


def voices(package, count):
    size = package.manifest.encoder.embedding_size
    return unit(RNG.normal(size=(count, size)).astype(np.float32))


def test_a_template_is_the_normalized_mean(scorer, package):
    embeddings = voices(package, 4)
    template = scorer.template(embeddings)
    assert np.linalg.norm(template) == pytest.approx(1, abs=1e-5)
    assert template @ unit(embeddings.mean(axis=0)) == pytest.approx(1, abs=1e-5)


def test_scores_are_those_that_the_package_asks_for(package):
    a, b = voices(package, 2)
    for closest in (0, 10):
        manifest = msgspec.structs.replace(
            package.manifest, closest_speakers=closest, closest_weight=0.7
        )
        scorer = Scorer(package._replace(manifest=manifest))
        expected = Similarity(package.cohort, closest, 0.7).scores(a[None], b[None])[0, 0]
        assert scorer.score(a, b) == pytest.approx(float(expected), abs=1e-6)
        assert scorer.score(a, b) == pytest.approx(scorer.score(b, a), abs=1e-5)


def test_more_candidates_need_a_higher_score(scorer, package):
    slope = package.manifest.calibration.slope
    assert scorer.threshold(candidates=10) == pytest.approx(
        scorer.threshold() + math.log(10) / slope
    )
    assert scorer.threshold(candidates=0) == scorer.threshold()


def test_llr_grows_with_the_score_and_is_positive_at_strict_thresholds(scorer):
    assert scorer.llr(0.9) > scorer.llr(0.1)
    assert scorer.llr(scorer.threshold()) > 0


def test_the_bayes_threshold_is_where_the_posterior_odds_are_even(scorer):
    for prior in (0.05, 0.5, 0.95):
        odds = math.exp(scorer.llr(scorer.bayes_threshold(prior))) * prior / (1 - prior)
        assert odds == pytest.approx(1)


def test_stricter_points_have_higher_thresholds(package):
    points = sorted(package.manifest.operating_points, key=lambda point: point.false_accept_rate)
    thresholds = [point.threshold for point in points]
    assert thresholds == sorted(thresholds, reverse=True)


def test_nan_is_never_accepted():
    assert not accepts(math.nan, 0.5)
    assert not accepts(0.9, math.nan)
    assert accepts(0.5, 0.5)


def test_an_embedding_without_direction_scores_nan(scorer, package):
    size = package.manifest.encoder.embedding_size
    center = package.cohort.mean(axis=0)
    assert math.isnan(scorer.score(voices(package, 1)[0], center))
    assert math.isnan(scorer.score(voices(package, 1)[0], np.full(size, np.nan, np.float32)))


def test_less_speech_needs_a_higher_score(package):
    calibration = Calibration(slope=8.0, offset=-4.0, slope_growth=3.0, offset_growth=-0.5)
    manifest = msgspec.structs.replace(package.manifest, calibration=calibration)
    scorer = Scorer(package._replace(manifest=manifest))
    needed = [scorer.threshold(seconds=seconds, candidates=3) for seconds in (0.6, 1.0, 2.0, 4.0)]
    assert needed == sorted(needed, reverse=True)
    assert scorer.threshold(seconds=60.0) == scorer.threshold(seconds=4.0)
    # whatever the duration, the threshold stands for the same evidence
    for seconds in (0.6, 1.0, 2.5):
        threshold = scorer.threshold(seconds=seconds)
        assert scorer.llr(threshold, seconds) == pytest.approx(scorer.llr(scorer.threshold()))
        even = scorer.bayes_threshold(0.5, seconds)
        assert scorer.llr(even, seconds) == pytest.approx(0, abs=1e-9)


def test_a_calibration_whose_slope_turns_round_is_refused():
    with pytest.raises(ValueError, match="higher score"):
        Calibration(slope=1.0, offset=0.0, slope_growth=-1.0)
