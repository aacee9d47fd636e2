"""What is measured of one recording: its embedding, and how well the voice was heard."""

import hashlib
import io
import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edge_unlock.audio import SAMPLE_RATE_HZ
from edge_unlock.encoder.encoder import Encoder
from edge_unlock.encoder.features import Float32
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.errors import AudioError
from edge_unlock.segmentation.bandwidth import bandwidth_hz
from edge_unlock.segmentation.quality import VERIFY_LIMITS, speech_seconds
from edge_unlock.segmentation.segment import Segmenter
from edge_unlock_convert.corpus import decode, middle
from edge_unlock_convert.scoring.thresholds import Embed, embedder

WHOLE = 0.0
"""As the seconds of a cut: the recording as it is."""
MEASURES = 5
FORMAT = 1
"""Rises when a row comes to hold something else: what was cached before is then not used."""
_OWN = threading.local()
"""What each thread has for itself: a worker of a cluster may have several."""


class System(NamedTuple):
    """An encoder, as it is sent to where the recordings are heard.

    ``package`` as the device runs it; without one, ``function`` is ``module:function`` of a
    callable ``(samples, rate_hz) -> embedding``. ``name`` is for the table.
    """

    name: str
    package: ModelPackage | None
    function: str = ""

    @property
    def identity(self) -> bytes:
        """SHA-256 of what makes the embeddings."""
        if self.package is not None:
            return self.package.manifest_sha256
        return hashlib.sha256(self.function.encode()).digest()


class Voices(NamedTuple):
    """What was heard in n recordings: embeddings (n, D), as long as their magnitudes; (n,) each:
    seconds of speech, or of all where none was found; signal-to-noise ratio in dB, NaN where none
    was found; bandwidth in Hz, duration in seconds, and whether the device would ask to say it
    again.
    """

    embeddings: Float32
    seconds: Float32
    snr_db: Float32
    bandwidth_hz: Float32
    duration_s: Float32
    refused: Float32

    @classmethod
    def of(cls, rows: Float32) -> "Voices":
        """Of rows (n, MEASURES + D) that ``hear`` made."""
        return cls(rows[:, MEASURES:], *rows[:, :MEASURES].T)


def key(system: System, content: bytes, cut_s: float) -> str:
    """The name of a row in a cache: of what was heard, and by what."""
    digest = hashlib.sha256(system.identity)
    digest.update(f"{FORMAT} {cut_s:g} ".encode())
    digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def hear(system: System, recordings: Sequence[tuple[str, bytes, float]]) -> list[Float32]:
    """A row (MEASURES + D,) for each recording: its name, its file's content, seconds of a cut.

    The cut is the middle of the recording. Raises ``AudioError`` for one that is not audio.
    """
    return [_row(system, *one) for one in recordings]


def _row(system: System, name: str, content: bytes, cut_s: float) -> Float32:
    samples = decode(io.BytesIO(content), name, SAMPLE_RATE_HZ)
    if not len(samples) or not np.isfinite(samples).all():
        raise AudioError(f"{name} holds no samples, or some that are not finite", "Remove it.")
    if cut_s != WHOLE:
        samples = middle(samples, round(cut_s * SAMPLE_RATE_HZ))
    embed = _embed_of(system)
    try:
        embedding = embed(samples, SAMPLE_RATE_HZ)
    except AudioError:  # too short for a step
        embedding = embed(np.resize(samples, SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
    measures = np.full(MEASURES, np.nan) if system.package is None else _measures(samples)
    return np.concatenate((measures, embedding)).astype(np.float32)


def _measures(samples: Float32) -> Sequence[float]:
    """The fields of ``Voices`` after the embeddings."""
    segmenter = _segmenter()
    segmenter.reset()
    segments = [*segmenter.push(samples), *segmenter.flush()]
    duration_s = len(samples) / SAMPLE_RATE_HZ
    refused = VERIFY_LIMITS.fault_of(segments) is not None
    longest = max(segments, key=lambda segment: len(segment.samples), default=None)
    return (
        speech_seconds(segments) or duration_s,
        np.nan if longest is None else longest.snr_db,
        bandwidth_hz(samples),
        duration_s,
        float(refused),
    )


def _embed_of(system: System) -> Embed:
    """The encoder, loaded once in each thread: it remembers what it heard last."""
    loaded: dict[bytes, Embed] = _OWN.__dict__.setdefault("loaded", {})
    if system.identity not in loaded:
        loaded[system.identity] = _load(system)
    return loaded[system.identity]


def _load(system: System) -> Embed:
    if system.package is not None:
        return embedder(Encoder(system.package))
    from edge_unlock_convert.training.teacher import load_teacher

    return load_teacher(system.function)


def _segmenter() -> Segmenter:
    if not hasattr(_OWN, "segmenter"):
        _OWN.segmenter = Segmenter()
    own: Segmenter = _OWN.segmenter
    return own
