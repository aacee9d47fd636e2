import math

import msgspec
import numpy as np
import pytest

from edge_unlock.encoder.calibration import Calibration, Quality
from edge_unlock.encoder.similarity import Similarity, unit
from edge_unlock.errors import ModelError
from edge_unlock.scoring.scorer import Scorer, accepts, rate_name

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


def test_the_rate_of_an_operating_point_is_shared_among_the_candidates(scorer):
    for quality in (Quality(0.8, 2.0), Quality(3.0, 2.0)):
        needed = scorer.threshold("far-1e-2", candidates=10, quality=quality)
        assert needed == scorer.threshold("far-1e-3", quality=quality)
        assert scorer.false_accept_rate(needed, candidates=10, quality=quality) == pytest.approx(
            1e-2
        )
    assert scorer.threshold(candidates=0) == scorer.threshold()
    assert scorer.false_accept_rate(-1.0, candidates=100) == 1.0
    assert scorer.false_accept_rate(math.nan) == 1.0


def test_any_rate_within_what_is_known_can_be_asked_for(scorer, package):
    assert scorer.threshold("far-0.01") == scorer.threshold("far-1e-2") == scorer.threshold()
    assert scorer.threshold(rate_name(0.003)) == pytest.approx(
        float(package.manifest.nontarget.threshold(0.003))
    )
    strict = Scorer(package, default=rate_name(1e-4))
    assert strict.threshold() == scorer.threshold("far-1e-4") > scorer.threshold("far-1e-3")
    for wrong in ("far-0.2", "far-1e-6", "far-0", "far--1", "far-nan", "far-inf", "far-", "0.01"):
        with pytest.raises(ModelError, match="no operating point"):
            scorer.threshold(wrong)


def test_a_quality_that_is_no_number_accepts_nobody(scorer):
    for quality in (Quality(math.nan, 2.0), Quality(1.0, math.nan)):
        assert not accepts(0.9, scorer.threshold(quality=quality))


def test_without_a_distribution_of_strangers_evidence_decides(calibrated):
    assert calibrated.threshold(candidates=10) == pytest.approx(
        calibrated.threshold() + math.log(10) / 20
    )
    assert calibrated.false_accept_rate(0.5) is None
    with pytest.raises(ModelError):
        calibrated.threshold("far-0.003")


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


@pytest.fixture
def calibrated(package):
    calibration = Calibration(
        slope=20.0, offset=-5.0, seconds_weight=-4.0, magnitude_weight=-6.0, magnitudes=(1.0, 4.0)
    )
    return Scorer(
        package._replace(
            manifest=msgspec.structs.replace(
                package.manifest, calibration=calibration, nontarget=None
            )
        )
    )


QUALITIES = [Quality(0.7, 1.1), Quality(1.0), Quality(2.5, 3.0), Quality(2.5, 2.0)]


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_threshold_stands_for_the_same_evidence_in_any_quality(calibrated, quality):
    threshold = calibrated.threshold(quality=quality)
    usual = calibrated.llr(calibrated.threshold())
    assert calibrated.llr(threshold, quality) == pytest.approx(usual)
    even = calibrated.bayes_threshold(0.5, quality)
    assert calibrated.llr(even, quality) == pytest.approx(0, abs=1e-9)


def test_nothing_moves_a_threshold_beyond_what_speech_does(calibrated):
    assert calibrated.threshold(quality=Quality(60.0, 2.0)) == calibrated.threshold(
        quality=Quality(4.0, 2.0)
    )
    for strange, nearest in ((1e-9, 1.0), (1e9, 4.0)):
        assert calibrated.threshold(quality=Quality(1.0, strange)) == calibrated.threshold(
            quality=Quality(1.0, nearest)
        )
    assert not accepts(0.9, calibrated.threshold(quality=Quality(1.0, math.nan)))
