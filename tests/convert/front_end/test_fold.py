"""What is folded into the weights, against the network on its own features."""

import dataclasses

import numpy as np
import pytest

from edge_unlock.encoder.package import EncoderSpec
from edge_unlock_convert.errors import CheckpointError, QualityError, SpeechError
from edge_unlock_convert.front_end import READY, fold
from edge_unlock_convert.front_end.ready import describe
from edge_unlock_convert.front_end.reference import frames
from edge_unlock_convert.network import Network
from edge_unlock_convert.speech import Source, Speech
from tests.convert.conftest import make_dense, make_lstm


@pytest.fixture(scope="module")
def samples(speech):
    return [recording.samples for recording in Speech(Source(speech)).recordings(16_000)]


def make(description, samples, stacked=2):
    """A network that hears something in those features: its first layer standardizes them."""
    generator = np.random.default_rng(4)
    heard = np.concatenate([frames(description, one) for one in samples])
    layer = make_lstm(generator, description.size * stacked, 24)
    weights = layer.input_weights / np.tile(heard.std(axis=0) + 0.1, stacked)
    bias = layer.bias - weights @ np.tile(heard.mean(axis=0), stacked)
    return Network(
        (dataclasses.replace(layer, input_weights=weights.astype("f"), bias=bias.astype("f")),),
        (make_dense(generator, 24, 16),),
    )


def fold_it(fields, samples, stacked=2):
    description = describe(fields)
    encoder = EncoderSpec(frames_stacked=stacked, embedding_size=16, pooling="mean")
    return fold(make(description, samples, stacked), description, encoder, samples, 100.0)


@pytest.mark.parametrize(
    "fields",
    [
        {"like": "device-mfcc"},
        {"like": "device-log-mel", "log": "decibel", "sample_scale": 32768},
        {"like": "device-log-mel", "filters": 24, "spectrum": "power", "fft_size": 400},
        {"like": "psf-mfcc", "window": "hamming", "energy": "none"},
        {
            **{"like": "device-log-mel", "filters": 3, "normalization": "statistics"},
            **{"mean": [1, 2, 3], "deviation": [4, 5, 6]},
        },
    ],
)
def test_exact(fields, samples):
    folded = fold_it(fields, samples)
    assert folded.agreement.exact
    assert folded.agreement.cosine_min > 0.99999
    assert folded.agreement.centered_median > 0.9999


@pytest.mark.parametrize("name", ["psf-log-mel", "kaldi-mfcc", "torchaudio-log-mel"])
def test_near_is_measured_and_said(name, samples):
    folded = fold_it({"like": name}, samples)
    assert not folded.agreement.exact
    assert 0.8 < folded.agreement.centered_median < 0.9999
    assert f"{folded.agreement.cosine_median:.4f}" in folded.network.notes[-1]
    folded.agreement.check(0.8)
    with pytest.raises(QualityError, match="cannot make the features"):
        folded.agreement.check(1)


def test_the_fold_is_needed(samples):
    """Without it, the network on the device's cepstra is another one."""
    network = make(READY["device-log-mel"], samples)
    folded = fold_it({"like": "device-log-mel"}, samples)
    assert folded.front_end.input_size == network.input_size
    inputs = network.layers[0].input_weights, folded.network.layers[0].input_weights
    assert np.corrcoef(inputs[0].ravel(), inputs[1].ravel())[0, 1] < 0.5


def test_the_size_of_a_step_must_fit(samples):
    description = READY["kaldi-log-mel"]
    encoder = EncoderSpec(frames_stacked=3, embedding_size=16, pooling="mean")
    with pytest.raises(CheckpointError, match="23 numbers a frame"):
        fold(make(description, samples, 2), description, encoder, samples, 100.0)


def test_too_short_speech(samples):
    description = READY["device-mfcc"]
    encoder = EncoderSpec(frames_stacked=2, embedding_size=16, pooling="mean")
    with pytest.raises(SpeechError, match="too short"):
        fold(make(description, samples), description, encoder, [samples[0][:300]], 100.0)
