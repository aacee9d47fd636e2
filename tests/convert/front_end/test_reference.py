"""The ready front ends are those of the libraries, which are asked themselves."""

import numpy as np
import pytest
import soundfile

from edge_unlock.encoder.features import FeatureSpec, MfccStream
from edge_unlock_convert.front_end import READY
from edge_unlock_convert.front_end.reference import frames


@pytest.fixture(scope="module")
def samples(speech):
    return soundfile.read(speech / "voice2" / "1.wav", dtype="float32")[0]


def assert_same(name, samples, expected):
    found = frames(READY[name], samples)
    assert 0 <= len(expected) - len(found) <= 1  # psf pads one more frame with zeros
    np.testing.assert_allclose(found, expected[: len(found)], atol=2e-4 * np.std(expected))


def test_device(samples):
    assert_same("device-mfcc", samples, MfccStream(FeatureSpec()).push(samples))


def test_python_speech_features(samples):
    psf = pytest.importorskip("python_speech_features")
    assert_same("psf-mfcc", samples, psf.mfcc(samples, 16_000))
    assert_same("psf-log-mel", samples, psf.logfbank(samples, 16_000))


@pytest.mark.parametrize(("name", "kind"), [("kaldi-log-mel", "Fbank"), ("kaldi-mfcc", "Mfcc")])
def test_kaldi(samples, name, kind):
    kaldi = pytest.importorskip("kaldi_native_fbank")
    options = getattr(kaldi, f"{kind}Options")()
    options.frame_opts.dither = 0
    stream = getattr(kaldi, f"Online{kind}")(options)
    stream.accept_waveform(16_000, (samples * 2**15).tolist())
    stream.input_finished()
    assert_same(
        name, samples, np.stack([stream.get_frame(n) for n in range(stream.num_frames_ready)])
    )


def test_librosa(samples):
    librosa = pytest.importorskip("librosa")
    mel = librosa.feature.melspectrogram(y=samples, sr=16_000)
    assert_same("librosa-log-mel", samples, librosa.power_to_db(mel).T)
    assert_same("librosa-mfcc", samples, librosa.feature.mfcc(y=samples, sr=16_000).T)


def test_torchaudio(samples):
    torch, torchaudio = pytest.importorskip("torch"), pytest.importorskip("torchaudio")
    waveform = torch.from_numpy(samples)
    mel = torchaudio.transforms.MelSpectrogram(16_000)(waveform)
    assert_same("torchaudio-log-mel", samples, torch.log(mel + 1e-6).numpy().T)
    cepstra = torchaudio.transforms.MFCC(16_000)(waveform)
    assert_same("torchaudio-mfcc", samples, cepstra.numpy().T)


@pytest.mark.parametrize("name", READY)
def test_too_little_speech_gives_no_frame(name):
    if READY[name].padding == "none":
        assert frames(READY[name], np.zeros(300, np.float32)).shape == (0, READY[name].size)
