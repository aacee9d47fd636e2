"""What each stage costs on this machine, as a share of real time on one core.

Stages are measured in processor time, which other programs hardly disturb; the whole
process in wall time, because that is what a person waits for.
"""

import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from python_speech_features import mfcc

from edge_unlock import demo
from edge_unlock.audio import SAMPLE_RATE_HZ, File
from edge_unlock.encoder.calibration import USUAL
from edge_unlock.encoder.encoder import Encoder
from edge_unlock.encoder.features import FeatureSpec, Float32, MfccStream
from edge_unlock.encoder.similarity import unit
from edge_unlock.scoring.candidates import Candidates
from edge_unlock.scoring.scorer import Scorer
from edge_unlock.segmentation.segment import CHUNK_SAMPLES, Segmenter
from edge_unlock.vault import Template

REPEATS = 5
BLOCK_SAMPLES = SAMPLE_RATE_HZ // 10


@dataclass(frozen=True)
class Measurement:
    """``value`` of what is named by ``stage``, in ``unit``; ``note`` says against what."""

    stage: str
    value: float
    unit: str
    note: str = ""


def measure(encoder: Encoder, voices: int = 1000) -> Iterator[Measurement]:
    """Measure on the demo's recordings, stage by stage; the median of several runs each.

    A voice is identified among so many made ``voices``.
    """
    speech = _recordings()
    seconds = len(speech) / SAMPLE_RATE_HZ
    noise = np.random.default_rng(0).normal(0, 0.001, len(speech)).astype(np.float32)
    spec = encoder.package.manifest.features

    def share(run: Callable[[], object]) -> float:
        return _median_s(run, time.process_time) / seconds

    gate = share(lambda: _push_all(Segmenter(), noise))
    features = share(lambda: _push_all(MfccStream(spec), speech))
    reference = share(lambda: reference_mfcc(speech, spec))
    encoding = share(lambda: encoder.embed(speech, SAMPLE_RATE_HZ)) - features
    segmenting = share(lambda: _push_all(Segmenter(), speech))
    unit = "of real time"
    yield Measurement("level gate (room noise)", gate, unit)
    yield Measurement(
        "MFCC", features, unit, f"{features / reference:.2f} x python_speech_features.mfcc"
    )
    yield Measurement("int8 LSTM and pooling", encoding, unit)
    yield Measurement("gate + MFCC + LSTM", gate + features + encoding, unit)
    yield Measurement("gate + VAD (speech)", segmenting, unit, "only while somebody speaks")
    yield from _measure_process()  # first: a child counts the memory that it was forked with
    yield from _measure_identification(encoder, voices)


def _measure_identification(encoder: Encoder, voices: int) -> Iterator[Measurement]:
    """Compare an embedding with everybody, in wall time: scores, thresholds, rates, the best."""
    size = encoder.package.manifest.encoder.embedding_size
    made = np.random.default_rng(0).standard_normal((voices, 1, size), dtype=np.float32)
    rows = unit(made)
    templates = [Template(str(number), row, "", 0, None) for number, row in enumerate(rows)]
    known = Candidates(Scorer(encoder.package), templates)
    everybody = np.ones(voices)

    def identify() -> None:
        known.compare(rows[0, 0], USUAL, everybody).best(1)

    wall_s = _median_s(identify, time.perf_counter)
    yield Measurement(f"identify among {voices:,}", wall_s * 1e3, "ms", "embedding excluded")
    yield Measurement("their templates, memory", known.gallery.size_bytes / 2**20, "MB")


def _measure_process() -> Iterator[Measurement]:
    """A whole ``edge-unlock verify``, from the start of the process to its decision."""
    with demo.throwaway_installation() as installation:
        installation.run("init")
        installation.run(*demo.enrollment_arguments())
        arguments = ["verify", demo.OWNER, "--input", str(demo.utterance(demo.OWNER))]
        wall_s = _median_s(lambda: installation.run(*arguments), time.perf_counter)
    peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    yield Measurement("verify, start to decision", wall_s, "s")
    yield Measurement("verify and enroll, peak memory", peak_kib / 1024, "MB")


def _recordings() -> Float32:
    pieces: list[Float32] = []
    for path in sorted(demo.AUDIO.glob("*.flac")):
        with File(path) as source:
            pieces += source.blocks()
    return np.concatenate(pieces)


def _push_all(stage: Segmenter | MfccStream, samples: Float32) -> None:
    for start in range(0, len(samples) - CHUNK_SAMPLES, BLOCK_SAMPLES):
        stage.push(samples[start : start + BLOCK_SAMPLES])


def reference_mfcc(samples: Float32, spec: FeatureSpec) -> NDArray[np.float64]:
    """What python_speech_features makes of samples (n,) with the parameters of ``spec``."""
    frames: NDArray[np.float64] = mfcc(
        samples,
        spec.sample_rate_hz,
        spec.window_samples / spec.sample_rate_hz,
        spec.hop_samples / spec.sample_rate_hz,
        spec.coefficients,
        spec.filters,
        spec.fft_size,
        spec.low_hz,
        spec.high_hz,
        spec.preemphasis,
        ceplifter=0,
        appendEnergy=False,
        winfunc=np.hamming,
    )
    return frames


def _median_s(run: Callable[[], object], clock: Callable[[], float]) -> float:
    durations = []
    for _ in range(REPEATS):
        start = clock()
        run()
        durations.append(clock() - start)
    return float(np.median(durations))
