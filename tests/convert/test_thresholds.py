"""Calibration and thresholds: that they know of durations, and hold what their name says."""

import msgspec
import numpy as np
import pytest

from edge_unlock.encoder import Encoder
from edge_unlock.model import Calibration, ModelPackage
from edge_unlock.scoring import Scorer
from edge_unlock.similarity import Similarity
from edge_unlock_convert import thresholds
from edge_unlock_convert.corpus import Utterance
from edge_unlock_convert.thresholds import Judged
from tests import speech


def judged(seconds: float, count: int = 200_000) -> Judged:
    """Trials whose scores spread the less the longer the speech."""
    generator = np.random.default_rng(int(seconds * 10))
    is_target = generator.random(count) < 0.2
    scores = generator.normal(0.5 * is_target, 0.25 / seconds**0.25)
    return Judged(scores, np.full(count, np.log(seconds)), is_target)


@pytest.fixture(scope="module")
def shipped() -> ModelPackage:
    """The package that ships; ``package`` is a tiny one in the converter's tests."""
    return ModelPackage.load()


def set_on(shipped, setting):
    manifest = msgspec.structs.replace(
        shipped.manifest,
        calibration=setting.calibration,
        operating_points=setting.operating_points,
    )
    return manifest, Scorer(shipped._replace(manifest=manifest))


def test_thresholds_hold_their_rate_over_all_durations_and_suit_each(shipped) -> None:
    trials = {"long": judged(4.0), "short": judged(1.0)}
    setting = thresholds.fit(trials)
    manifest, scorer = set_on(shipped, setting)
    assert setting.calibration.slope_growth > 0
    rates = {name: thresholds.rates(one, manifest, "far-1e-2") for name, one in trials.items()}
    assert np.mean([one.false_accepts for one in rates.values()]) == pytest.approx(1e-2, rel=0.1)
    # a threshold that does not know of durations: all false accepts come from short speech
    plain = {
        name: one._replace(durations=np.zeros(len(one.scores))) for name, one in trials.items()
    }
    deaf, _ = set_on(shipped, thresholds.fit(plain))
    unaware = {name: thresholds.rates(one, deaf, "far-1e-2") for name, one in plain.items()}
    assert rates["short"].false_accepts < unaware["short"].false_accepts
    assert rates["long"].false_rejects < unaware["long"].false_rejects
    # the device decides what the rates were counted for
    assert scorer.threshold("far-1e-2", seconds=4.0) < scorer.threshold("far-1e-2", seconds=1.0)


def test_the_device_accepts_what_the_rates_count(shipped) -> None:
    one = judged(2.0, 1000)
    manifest, scorer = set_on(shipped, thresholds.fit({"": judged(2.0), " ": judged(1.0)}))
    threshold = scorer.threshold("far-1e-3", seconds=2.0)
    accepted = one.scores[one.is_target] >= threshold
    found = thresholds.rates(one, manifest, "far-1e-3")
    assert found.false_rejects == pytest.approx(1 - accepted.mean())
    assert (found.targets, found.nontargets) == (one.is_target.sum(), (~one.is_target).sum())


def test_too_few_trials_set_nothing() -> None:
    with pytest.raises(ValueError, match="50 target trials"):
        thresholds.fit({"few": judged(1.0, 100)})


def test_people_are_heard_as_the_device_hears_them(shipped, people, tmp_path) -> None:
    utterances = [
        Utterance(path, "train", "people", f"people/{name}")
        for name, paths in people.items()
        for path in paths
    ]
    listener = thresholds.Listener(Encoder(shipped).embed)
    found = thresholds.judge(listener, utterances, lambda corpus: shipped.similarity)
    assert {"people", "people, 2 s", "people, 1 s"} == set(found)
    whole, cut = found["people"], found["people, 1 s"]
    target, nontarget = whole.split()
    assert target.mean() > nontarget.mean()
    assert (cut.durations == 0).all()
    assert (whole.durations > 0).all()
    # 2 of 5 recordings are compared in each of 5 draws, with the templates of both
    assert len(whole.scores) >= 2 * 2 * 2 * 5
    assert whole.is_target.mean() == pytest.approx(0.5)


def test_durations_that_nobody_spoke_for_are_left_out(
    shipped, people, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thresholds, "CUTS_S", (30.0,))
    utterances = [
        Utterance(path, "train", "people", name) for name in people for path in people[name]
    ]
    found = thresholds.judge(
        thresholds.Listener(Encoder(shipped).embed), utterances, lambda corpus: Similarity(None)
    )
    assert set(found) == {"people"}


def test_a_calibration_without_durations_is_unmoved(shipped) -> None:
    manifest = msgspec.structs.replace(
        shipped.manifest, calibration=Calibration(slope=10.0, offset=-3.0)
    )
    scorer = Scorer(shipped._replace(manifest=manifest))
    assert scorer.threshold(seconds=0.5) == scorer.threshold(seconds=9.0)
    assert scorer.llr(0.5, 9.0) == scorer.llr(0.5, 0.5) == pytest.approx(2.0)


def test_silence_is_refused(shipped) -> None:
    assert thresholds.Listener(Encoder(shipped).embed).speech(np.zeros(32_000, np.float32)) is None
    assert thresholds.Listener(Encoder(shipped).embed).speech(speech.utterances(1)[0]) is not None


def test_durations_are_left_out_where_a_higher_score_would_mean_less() -> None:
    steep = judged(4.0)
    setting = thresholds.fit(
        {"long": steep._replace(scores=steep.scores / 8), "short": judged(1.0)}
    )
    assert setting.calibration.slope > 0
    assert setting.calibration.slope_growth == 0
