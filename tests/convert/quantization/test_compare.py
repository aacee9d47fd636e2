"""The judgement of a quantized network."""

from dataclasses import replace

import numpy as np
import pytest

from edge_unlock_convert.errors import QualityError
from edge_unlock_convert.network import Dense
from edge_unlock_convert.quantization.compare import Embedded, Limits, compare, embed
from edge_unlock_convert.quantization.lowering import lower
from edge_unlock_convert.quantization.ranges import lay_out


def embedded(noise):
    """Ten voices, eight utterances each, and the same with noise added."""
    generator = np.random.default_rng(0)
    voices = generator.normal(size=(10, 1, 32))
    original = (voices + 0.8 * generator.normal(size=(10, 8, 32))).reshape(80, 32)
    changed = original + noise * generator.normal(size=original.shape)
    pair = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (original, changed)]
    return Embedded(*(one.astype(np.float32) for one in pair), {"embedding": 30.0})


SPEAKERS = [f"voice{number // 8}" for number in range(80)]


def test_nothing_changed():
    result, _ = compare(embedded(0), SPEAKERS, 4, 1)
    assert result.cosine_min == pytest.approx(1, abs=1e-6)
    rates = result.error_rates
    assert (rates.eer_delta, rates.flips, rates.threshold_shift) == (0, 0, 0)
    assert rates.eer_delta_interval == (0, 0)
    Limits().check(result)


def test_loss_is_seen_and_refused():
    result, trials = compare(embedded(1.5), SPEAKERS, 4, 1)
    rates = result.error_rates
    assert result.cosine_min <= result.cosine_p1 <= result.cosine_median < 0.8
    assert rates.eer_delta > 0.02
    low, high = rates.eer_delta_interval
    assert 0 < low < rates.eer_delta < high
    decided = [one.scores >= rates.threshold for one in trials]
    assert rates.flips == np.mean(decided[0] != decided[1]) > 0
    with pytest.raises(QualityError, match="--min-cosine"):
        Limits().check(result)
    with pytest.raises(QualityError, match=r"points \(95% interval\); 0\.50 is the most"):
        Limits(min_cosine=-1).check(result)


def household(seed, utterances, noise):
    """Ten voices that say ``utterances`` each; another network hears them with noise added."""
    generator = np.random.default_rng(seed)
    voices = generator.normal(size=(10, 1, 32))
    said = (voices + 2.0 * generator.normal(size=(10, utterances, 32))).reshape(-1, 32)
    changed = said + noise * generator.normal(size=said.shape)
    pair = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (said, changed)]
    speakers = [f"voice{number // utterances}" for number in range(len(said))]
    return Embedded(*(one.astype(np.float32) for one in pair), {}), speakers


def refused(seed, utterances, noise):
    pair, speakers = household(seed, utterances, noise)
    try:
        Limits(min_cosine=-1).check(compare(pair, speakers, 4, 1)[0])
    except QualityError:
        return True
    return False


def test_chance_decides_nothing():
    """Forty utterances are too few to tell, and with many a loss is told each time."""
    points = [compare(*household(seed, 4, 0.3), 4, 1)[0].error_rates for seed in range(8)]
    assert min(one.eer_delta for one in points) < 0.005 < max(one.eer_delta for one in points)
    assert not any(refused(seed, 4, 0.3) for seed in range(8))
    assert all(refused(seed, 20, 2.0) for seed in range(4))
    assert not any(refused(seed, 20, 0.0) for seed in range(4))


def test_what_the_trials_leave_open_is_refused_with_what_to_do():
    pair, speakers = household(1, 10, 0.4)
    with pytest.raises(QualityError) as error:
        Limits(min_cosine=-1).check(compare(pair, speakers, 4, 1)[0])
    assert "leave it open" in error.value.hint


def test_a_network_no_better_than_an_untrained_one_is_refused():
    pair, speakers = household(0, 20, 0.0)
    generator = np.random.default_rng(7)
    nothing = generator.normal(size=pair.original.shape).astype(np.float32)
    nothing /= np.linalg.norm(nothing, axis=1, keepdims=True)
    good, _ = compare(pair, speakers, 4, 1, untrained=nothing)
    assert good.error_rates.training_gain_interval[0] > 0.1
    Limits().check(good)
    useless, _ = compare(Embedded(nothing, nothing, {}), speakers, 4, 1, untrained=pair.original)
    with pytest.raises(QualityError, match="of no use") as error:
        Limits().check(useless)
    assert "--front-end" in error.value.hint and "--check-audio" in error.value.hint
    with pytest.raises(QualityError, match="of no use") as error:
        Limits().check(useless, features_proven=True)
    assert "train it longer" in error.value.hint and "--front-end" not in error.value.hint
    Limits(allow_useless=True).check(useless)


def test_not_a_number_is_refused():
    pair = embedded(0)
    broken = pair._replace(quantized=np.full_like(pair.quantized, np.nan))
    result, _ = compare(broken, [None] * 80, 4, 1)
    with pytest.raises(QualityError):
        Limits().check(result)


@pytest.mark.parametrize(
    "speakers",
    [[None] * 80, [str(number) for number in range(80)], ["alone"] * 80],
    ids=["nobody named", "one utterance each", "one speaker"],
)
def test_speech_without_trials_has_no_error_rates(speakers):
    result, trials = compare(embedded(0.1), speakers, 4, 1)
    assert (result.error_rates, trials) == (None, None)
    Limits().check(result)


def test_a_network_without_embedding_is_refused(network, inputs):
    pytest.importorskip("tflite")
    dense = network.embedding[0]
    nothing = Dense(np.zeros_like(dense.weights), np.zeros_like(dense.bias))
    broken = replace(network, embedding=(nothing,), attention=None)
    model = lower(broken, lay_out(broken, inputs, "minmax"), "float32")
    with pytest.raises(QualityError, match=r"float network gives (\d+) of \1 .* no embedding"):
        embed(broken, model, inputs, "mean")
