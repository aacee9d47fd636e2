"""Calibration and thresholds: that they know of qualities, and hold what their name says."""

import msgspec
import numpy as np
import pytest

from edge_unlock.encoder.calibration import Calibration, Quality
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.encoder.similarity import Similarity
from edge_unlock.scoring.scorer import Scorer
from edge_unlock_convert.corpus import Utterance
from edge_unlock_convert.scoring import thresholds
from edge_unlock_convert.scoring.thresholds import Judged
from tests import speech


def judged(seconds: float, count: int = 200_000) -> Judged:
    """Trials whose scores grow with the magnitude and with the seconds."""
    generator = np.random.default_rng(int(seconds * 10))
    is_target = generator.random(count) < 0.2
    magnitudes = np.exp(generator.normal(0.5, 0.3, count))
    means = 0.5 * is_target + 0.2 * np.log(seconds) + 0.3 * np.log(magnitudes)
    scores = generator.normal(means, 0.2)
    return Judged(scores, Quality(np.full(count, seconds), magnitudes), is_target)


def deaf(one: Judged) -> Judged:
    """The same trials, of whose quality nothing is known."""
    every = np.ones(len(one.scores))
    return one._replace(quality=Quality(every, every))


@pytest.fixture(scope="module")
def shipped() -> ModelPackage:
    """The package that ships; ``package`` is a tiny one in the converter's tests."""
    return ModelPackage.load()


def set_on(shipped, setting):
    manifest = msgspec.structs.replace(
        shipped.manifest,
        calibration=setting.calibration,
        nontarget=setting.nontarget,
        operating_points=setting.operating_points,
    )
    return manifest, Scorer(shipped._replace(manifest=manifest))


def test_thresholds_hold_their_rate_over_all_qualities_and_suit_each(shipped) -> None:
    trials = {"one": judged(4.0), "one, 1 s": judged(1.0)}
    setting = thresholds.fit(trials)
    manifest, scorer = set_on(shipped, setting)
    assert setting.calibration.seconds_weight < 0
    assert setting.calibration.magnitude_weight < 0
    rates = {name: thresholds.rates(one, manifest, "far-1e-2") for name, one in trials.items()}
    for one in rates.values():
        assert one.false_accepts == pytest.approx(1e-2, rel=0.15)
    # the device decides what the rates were counted for
    needed = [scorer.threshold("far-1e-2", quality=Quality(one)) for one in (1.0, 4.0)]
    assert needed[0] < needed[1]


def test_rounding_of_unit_vectors_is_no_magnitude() -> None:
    one = judged(2.0)
    magnitudes = np.random.default_rng(0).choice(np.float32([1 - 1e-7, 1, 1 + 1e-7]), 200_000)
    rounded = one._replace(quality=Quality(one.quality.seconds, magnitudes))
    assert thresholds.fit({"": rounded}).calibration.magnitude_weight == 0


def test_the_device_accepts_what_the_rates_count(shipped) -> None:
    one = judged(2.0, 1000)
    manifest, scorer = set_on(shipped, thresholds.fit({"": judged(2.0), " ": judged(1.0)}))
    genuine = one.only(np.flatnonzero(one.is_target))
    accepted = [
        score >= scorer.threshold("far-1e-3", quality=Quality(2.0, magnitude))
        for score, magnitude in zip(genuine.scores, genuine.quality.magnitude, strict=True)
    ]
    found = thresholds.rates(one, manifest, "far-1e-3")
    assert found.false_rejects == pytest.approx(1 - np.mean(accepted))
    assert (found.targets, found.nontargets) == (one.is_target.sum(), (~one.is_target).sum())


def test_a_place_lies_between_an_unknown_corpus_and_a_familiar_one() -> None:
    strange = judged(1.0)
    familiar = strange._replace(scores=strange.scores - 0.2)
    needed = [
        float(thresholds.fit(*trials).nontarget.threshold(1e-2))
        for trials in (
            [{"one": strange}],
            [{"one": strange}, {"one": familiar}],
            [{"one": familiar}],
        )
    ]
    assert needed[0] > needed[1] > needed[2]


def test_too_few_trials_set_nothing() -> None:
    with pytest.raises(ValueError, match="50 target trials"):
        thresholds.fit({"few": judged(1.0, 100)})


def test_people_are_heard_as_the_device_hears_them(shipped, people, tmp_path) -> None:
    utterances = [
        Utterance(path, "train", "people", f"people/{name}")
        for name, paths in people.items()
        for path in paths
    ]
    listener = thresholds.Listener.of(shipped)
    spoken = thresholds.hear(listener, utterances)
    found = thresholds.judge(spoken, lambda corpus: shipped.similarity)
    assert {"people", "people, 2 s", "people, 1 s"} == set(found)
    whole, cut = found["people"], found["people, 1 s"]
    target, nontarget = whole.split()
    assert target.mean() > nontarget.mean()
    assert (cut.quality.seconds == 1).all()
    assert (whole.quality.seconds > 1).all()
    assert len(np.unique(whole.quality.magnitude)) > 5
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
    spoken = thresholds.hear(thresholds.Listener.of(shipped), utterances)
    found = thresholds.judge(spoken, lambda corpus: Similarity(None))
    assert set(found) == {"people"}


def test_a_calibration_without_qualities_is_unmoved(shipped) -> None:
    manifest = msgspec.structs.replace(
        shipped.manifest, calibration=Calibration(slope=10.0, offset=-3.0), nontarget=None
    )
    scorer = Scorer(shipped._replace(manifest=manifest))
    short, long = Quality(0.5, 0.5), Quality(9.0, 2.0)
    assert scorer.threshold(quality=short) == scorer.threshold(quality=long)
    assert scorer.llr(0.5, long) == scorer.llr(0.5, short) == pytest.approx(2.0)


def test_silence_is_refused(shipped) -> None:
    listener = thresholds.Listener.of(shipped)
    assert listener.speech(np.zeros(32_000, np.float32)) is None
    assert listener.speech(speech.utterances(1)[0]) is not None
