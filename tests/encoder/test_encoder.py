import subprocess
import sys

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_unlock.encoder.encoder import Encoder
from edge_unlock.errors import AudioError
from tests import speech

UTTERANCE = speech.utterances(1)[0][:48000]


def test_an_embedding_is_a_float32_unit_vector(encoder):
    embedding = encoder.embed(UTTERANCE, 16000)
    assert embedding.shape == (encoder.embedding_size,)
    assert embedding.dtype == np.float32
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)


@given(cuts=st.lists(st.integers(0, 48000), max_size=40))
@settings(max_examples=15)
def test_chunking_does_not_change_the_embedding(encoder, cuts):
    whole = encoder.embed(UTTERANCE, 16000)
    edges = sorted({cut % len(UTTERANCE) for cut in cuts})
    assert encoder.embed_pieces(np.split(UTTERANCE, edges)) @ whole > 0.999


def test_a_running_embedding_is_there_at_any_time_and_settles(encoder):
    encoder.reset()
    assert encoder.embedding is None
    running = []
    for piece in np.split(UTTERANCE, range(4000, len(UTTERANCE), 4000)):
        encoder.push(piece)
        running.append(encoder.embedding)
    final = encoder.embed(UTTERANCE, 16000)
    agreement = [embedding @ final for embedding in running]
    assert agreement[-1] > 0.999
    assert agreement[-1] > agreement[0]


def test_a_magnitude_is_long_where_all_steps_hear_one_voice(encoder, people):
    encoder.reset()
    assert encoder.magnitude is None
    alice, bob = (soundfile.read(paths[0], dtype="float32")[0][:32000] for paths in people.values())
    magnitudes = []
    for samples in (alice, bob, np.concatenate((alice, bob))):
        encoder.embed(samples, 16000)
        magnitudes.append(encoder.magnitude)
    assert magnitudes[2] < 0.9 * np.mean(magnitudes[:2])


def test_reset_keeps_nothing_of_the_utterance_before(encoder):
    first = encoder.embed(UTTERANCE, 16000)
    encoder.push(np.random.default_rng(0).normal(0, 0.3, 16000).astype(np.float32))
    np.testing.assert_array_equal(encoder.embed(UTTERANCE, 16000), first)


def test_two_encoders_do_not_share_their_state(package, encoder):
    other = Encoder(package)
    other.push(UTTERANCE[:20000])
    first = encoder.embed(UTTERANCE, 16000)
    other.push(UTTERANCE[20000:])
    np.testing.assert_allclose(other.embedding, first, atol=1e-6)


def test_another_sample_rate_gives_the_same_voice(encoder):
    at_48k = soxr.resample(UTTERANCE, 16000, 48000)
    assert encoder.embed(at_48k, 48000) @ encoder.embed(UTTERANCE, 16000) > 0.98


def test_one_voice_is_closer_than_two(encoder, people):

    alice, bob = (
        [encoder.embed(soundfile.read(path, dtype="float32")[0], 16000) for path in paths]
        for paths in people.values()
    )
    within = np.mean([a @ b for a in alice[:2] for b in alice[2:]])
    between = np.mean([a @ b for a in alice for b in bob])
    assert within > between + 0.2


@pytest.mark.parametrize(
    "samples",
    [
        np.array([0.1, np.nan] * 8000, np.float32),
        np.array([0.1, np.inf] * 8000, np.float32),
        np.zeros((16000, 2), np.float32),
        np.zeros(0, np.float32),
        np.zeros(300, np.float32),
    ],
)
def test_samples_that_cannot_be_embedded_are_refused(encoder, samples):
    with pytest.raises(AudioError) as caught:
        encoder.embed(samples, 16000)
    assert caught.value.hint


FLUSH_TO_ZERO = """
__attribute__((constructor)) static void flush_to_zero(void) {
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(1UL << 24));
#else
#error unknown processor
#endif
}
"""
EMBED = """
import ctypes, sys, warnings
library, samples = sys.argv[1:]
class Flushing:
    @staticmethod
    def find_spec(name, path, target=None):
        if library and name in ("tflite_runtime.interpreter", "ai_edge_litert.interpreter"):
            ctypes.CDLL(library)
sys.meta_path.insert(0, Flushing)
warnings.simplefilter("error")
import numpy as np
from edge_unlock.encoder.encoder import Encoder
embedding = Encoder.load().embed(np.load(samples), 16000)
np.finfo(np.float32), np.finfo(np.float64)
print(np.float32(1e-38) * np.float32(1e-3) == 0)
print(*embedding.tolist())
"""


def test_a_runtime_that_flushes_denormals_to_zero_changes_nothing(tmp_path):
    """As tflite-runtime 2.14 does on aarch64 when it is imported."""
    source, library = tmp_path / "flush.c", tmp_path / "flush.so"
    source.write_text(FLUSH_TO_ZERO)
    subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", library], check=True)
    np.save(tmp_path / "samples.npy", UTTERANCE)
    said = [
        subprocess.run(
            [sys.executable, "-c", EMBED, flush, tmp_path / "samples.npy"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for flush in ("", library)
    ]
    assert [flushes for flushes, _ in said] == ["False", "True"]
    assert said[0][1] == said[1][1]
