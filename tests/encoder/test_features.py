import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_unlock.bench import reference_mfcc
from edge_unlock.encoder.features import FeatureSpec, MfccStream, Normalization, NormalizationStream

SPECS = (
    FeatureSpec(),
    FeatureSpec(window_samples=512, hop_samples=256, filters=26, coefficients=13, preemphasis=0.0),
)


def reference(samples, spec):
    """The frames of whole windows, without the one that is padded with zeros."""
    whole = max(0, 1 + (len(samples) - spec.window_samples) // spec.hop_samples)
    return reference_mfcc(samples, spec)[:whole]


def pieces(samples, cuts):
    return np.split(samples, sorted(cut % (len(samples) + 1) for cut in cuts))


@given(
    length=st.integers(1, 8000),
    cuts=st.lists(st.integers(0, 8000), max_size=12),
    seed=st.integers(0, 2**32 - 1),
    spec=st.sampled_from(SPECS),
)
@settings(max_examples=80)
def test_streamed_frames_equal_python_speech_features(length, cuts, seed, spec):
    samples = np.random.default_rng(seed).normal(0, 0.1, length).astype(np.float32)
    stream = MfccStream(spec)
    frames = np.concatenate([stream.push(piece) for piece in pieces(samples, cuts)])
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames, reference(samples, spec), atol=2e-4)


def test_digital_silence_equals_python_speech_features():
    samples = np.zeros(4000, np.float32)
    spec = FeatureSpec()
    np.testing.assert_allclose(MfccStream(spec).push(samples), reference(samples, spec), atol=1e-4)


def test_reset_forgets_the_stream():
    samples = np.random.default_rng(0).normal(0, 0.1, 3000).astype(np.float32)
    stream = MfccStream(FeatureSpec())
    first = stream.push(samples)
    stream.reset()
    np.testing.assert_array_equal(stream.push(samples), first)


@pytest.mark.parametrize(
    "fields",
    [
        {"fft_size": 256},
        {"coefficients": 41},
        {"low_hz": 9000.0},
        {"high_hz": 8001.0},
    ],
)
def test_a_contradictory_spec_is_refused(fields):
    with pytest.raises(ValueError):
        FeatureSpec(**fields)


@given(cuts=st.lists(st.integers(0, 300), max_size=6), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_normalization_is_that_of_its_definition_in_any_pieces(cuts, seed):
    frames = np.random.default_rng(seed).normal(3, 2, (300, 4)).astype(np.float32)
    spec = Normalization(
        mean=(1.0, 2.0, 3.0, 4.0), deviation=(1.0, 2.0, 0.5, 4.0), prior_frames=50, limit=2.0
    )
    stream = NormalizationStream(spec)
    got = np.concatenate([stream.push(piece) for piece in pieces(frames, cuts)])
    reach = spec.limit * np.array(spec.deviation)
    frames = np.clip(frames, np.array(spec.mean) - reach, np.array(spec.mean) + reach)
    for t in (0, 1, 150, 299):
        mean = (50 * np.array(spec.mean) + frames[: t + 1].sum(axis=0, dtype=float)) / (50 + t + 1)
        np.testing.assert_allclose(
            got[t], (frames[t] - mean) / np.array(spec.deviation), rtol=1e-4, atol=1e-5
        )


def test_digital_silence_does_not_spoil_what_follows():
    speech = np.random.default_rng(1).normal(-60, 10, (200, 1)).astype(np.float32)
    silence = np.full((20, 1), -230, np.float32)
    stream = NormalizationStream(Normalization(mean=(-60.0,), deviation=(10.0,), prior_frames=50))
    after_silence = stream.push(np.concatenate((silence, speech)))[20:]
    stream.reset()
    # 20 frames at 4 deviations against a prior of 50: never more than 20 * 4 / 71 deviations
    assert np.abs(after_silence - stream.push(speech)).max() < 1.2


def test_normalization_refuses_what_cannot_be_applied():
    with pytest.raises(ValueError):
        Normalization(mean=(0.0,), deviation=(1.0, 1.0), prior_frames=1)
    with pytest.raises(ValueError):
        Normalization(mean=(0.0,), deviation=(0.0,), prior_frames=1)
