"""How much microphones and recorders of many kinds cost: owners and strangers accepted by each.

    python convert/figures/microphones.py MANIFEST [--split eval] [--corpus speechocean762]

Some speakers of a manifest (as `edge-unlock-convert evaluate` reads it) are enrolled with five
recordings each and verified with five others, through the whole path of the device: file,
utterances, quality limits, encoder, score, threshold. Every recording of a row went through the
same fault, two seconds of a silent room before the voice included; those of the enrollment did not
where it says `clean`. The EER is of how far scores lie over the threshold, and counts what the
device asks to repeat as well.
"""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import soundfile
import soxr
from scipy.signal import butter, sosfilt

from edge_unlock.audio import SAMPLE_RATE_HZ, File, Samples
from edge_unlock.encoder.calibration import Quality
from edge_unlock.encoder.encoder import Encoder
from edge_unlock.errors import EdgeUnlockError
from edge_unlock.lock.hearing import hear
from edge_unlock.scoring.scorer import Scorer, accepts
from edge_unlock.segmentation.quality import (
    ENROLL_LIMITS,
    VERIFY_LIMITS,
    QualityLimits,
    speech_seconds,
)
from edge_unlock.segmentation.segment import Segmenter
from edge_unlock_convert.corpus import read_corpus
from edge_unlock_convert.scoring.metrics import eer

RECORDINGS = 5
ROOM_S = 2


class Recording(NamedTuple):
    """What a recorder writes: samples (n, channels), a rate in Hz, soundfile's names of formats."""

    samples: Samples
    rate_hz: int = SAMPLE_RATE_HZ
    subtype: str = "PCM_16"
    container: str = "WAV"


Fault = Callable[[Samples], Recording]


def added(signal: Callable[[int], Samples]) -> Fault:
    """Add a signal, made for a length."""
    return lambda speech: Recording((speech + signal(len(speech)))[:, None])


def hum(frequency_hz: float, level: float) -> Callable[[int], Samples]:
    """Mains hum with two overtones, ``level`` of full scale."""

    def signal(length: int) -> Samples:
        phase = 2 * np.pi * frequency_hz * np.arange(length) / SAMPLE_RATE_HZ
        return (level * (np.sin(phase) + 0.3 * np.sin(2 * phase) + 0.1 * np.sin(3 * phase))).astype(
            np.float32
        )

    return signal


def noisy(speech: Samples) -> Recording:
    """White noise 10 dB below the speech."""
    noise = np.random.default_rng(len(speech)).normal(0, 1, len(speech))
    scale = float(np.sqrt(np.mean(speech**2) / 10))
    return Recording((speech + scale * noise).astype(np.float32)[:, None])


def at_rate(rate_hz: int) -> Fault:
    """Record at another rate."""
    return lambda speech: Recording(
        soxr.resample(speech, SAMPLE_RATE_HZ, rate_hz)[:, None], rate_hz
    )


def coded(subtype: str, container: str = "WAV") -> Fault:
    """Code at 8 kHz."""
    return lambda speech: at_rate(8_000)(speech)._replace(subtype=subtype, container=container)


def telephone_band(speech: Samples) -> Recording:
    """Nothing but 300 to 3400 Hz (ITU-T G.712), as of a call that was recorded at the full rate."""
    band = butter(8, (300, 3400), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    return Recording(sosfilt(band, speech)[:, None].astype(np.float32))


def dull(speech: Samples) -> Recording:
    """Falls from 5 kHz on, 12 dB an octave, as a cheap resampler to 16 kHz does."""
    falling = butter(2, 5_000, fs=SAMPLE_RATE_HZ, output="sos")
    return Recording(sosfilt(falling, speech)[:, None].astype(np.float32))


def louder(gain_db: float) -> Fault:
    """Turn the level up, or down below 0 dB; what exceeds full scale is clipped."""
    return lambda speech: Recording((speech * 10 ** (gain_db / 20))[:, None].astype(np.float32))


def clipping(speech: Samples) -> Recording:
    """Cut off what exceeds an eighth of the peak, then amplify to full scale."""
    return Recording((speech * (8 / np.abs(speech).max()))[:, None])


FAULTS: dict[str, Fault] = {
    "clean": lambda speech: Recording(speech[:, None]),
    **{
        f"offset {100 * level:g}%": added(lambda n, x=level: np.full(n, x, np.float32))
        for level in (0.005, 0.02, 0.05, 0.1)
    },
    **{
        f"hum {frequency} Hz, {100 * level:g}%": added(hum(frequency, level))
        for frequency in (50, 60)
        for level in (0.01, 0.03, 0.05)
    },
    "8 bits": lambda speech: Recording(speech[:, None], subtype="PCM_U8"),
    **{f"{rate} Hz": at_rate(rate) for rate in (8_000, 11_025, 44_100, 48_000)},
    "dull resampler": dull,
    "300 to 3400 Hz": telephone_band,
    "G.711": coded("ULAW"),
    "Opus at 8 kHz": coded("OPUS", "OGG"),
    "stereo, one dead": lambda speech: Recording(np.stack((speech, 0 * speech), axis=1)),
    "stereo, one inverted": lambda speech: Recording(np.stack((speech, -speech), axis=1)),
    "clipping": clipping,
    "noise at 10 dB": noisy,
    "12 dB louder": louder(12),
    "12 dB softer": louder(-12),
}


class Voice(NamedTuple):
    """What the device hears of a recording, and whether it asks to repeat it."""

    embedding: Samples
    quality: Quality
    refused: bool


class Enrolled(NamedTuple):
    """A template (D,), if there is any, and whether the device asks to repeat all that it is of."""

    template: Samples | None
    refused: bool


class Device:
    """The path of the device from a recording to an embedding."""

    def __init__(self) -> None:
        self.encoder = Encoder.load()
        self.scorer = Scorer(self.encoder.package)
        self._segmenter = Segmenter()

    def hear(self, recording: Recording, limits: QualityLimits) -> Voice | None:
        """None where there is nothing that a voice could be told by."""
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            soundfile.write(
                file.name,
                np.clip(recording.samples, -1, 1),
                recording.rate_hz,
                subtype=recording.subtype,
                format=recording.container,
            )
            with File(file.name) as source:
                segments = [heard.segment for heard in hear(source, self._segmenter)]
        embedding = self.encoder.embed_pieces(segment.samples for segment in segments)
        if embedding is None:
            return None
        quality = Quality(speech_seconds(segments), self.encoder.magnitude)
        return Voice(embedding, quality, limits.fault_of(segments) is not None)

    def over_threshold(self, template: Samples, voice: Voice) -> float:
        """How far a template (D,) lies over the default operating point; from 0 on it is let in."""
        score = self.scorer.score(template, voice.embedding)
        return score - self.scorer.threshold(quality=voice.quality)


def main(manifest: Path, split: str, corpus: str, only: str, speakers: int) -> None:
    """Print a row a fault."""
    by_speaker = defaultdict(list)
    for utterance in read_corpus(manifest, split):
        if utterance.corpus == corpus:
            by_speaker[utterance.speaker].append(utterance)
    chosen = [one for one in by_speaker.values() if len(one) >= 2 * RECORDINGS][:speakers]
    speech = [[one.samples(SAMPLE_RATE_HZ) for one in found[: 2 * RECORDINGS]] for found in chosen]
    device = Device()

    def enroll(fault: Fault) -> list[Enrolled]:
        found = []
        for recordings in speech:
            every = [device.hear(fault(one), ENROLL_LIMITS) for one in recordings[:RECORDINGS]]
            voices = [voice for voice in every if voice]
            taken = [voice for voice in voices if not voice.refused]
            heard = [voice.embedding for voice in taken or voices]
            template = device.scorer.template(np.stack(heard)) if heard else None
            found.append(Enrolled(template, not taken))
        return found

    clean = enroll(FAULTS["clean"])
    trials = len(speech) * RECORDINGS
    print(
        "| heard through | enrolled | owners accepted; asked to repeat | strangers accepted | EER |"
    )
    print("| --- | --- | --- | --- | --- |")
    for name, fault in FAULTS.items():
        if only not in name:
            continue
        voices = [
            (owner, device.hear(fault(one), VERIFY_LIMITS))
            for owner, recordings in enumerate(speech)
            for one in recordings[RECORDINGS:]
        ]
        retries = sum(voice is None or voice.refused for _, voice in voices)
        for how, enrolled in (("clean", clean), ("alike", enroll(fault))):
            over: tuple[list[float], list[float]] = ([], [])
            counts = [0, 0]
            for speaker, voice in voices:
                for owner, (template, refused) in enumerate(enrolled):
                    if voice is not None and template is not None:
                        height = device.over_threshold(template, voice)
                        judged = not (voice.refused or refused)
                        over[owner != speaker].append(height)
                        counts[owner != speaker] += judged and accepts(height, 0)
            missing = sum(one.refused for one in enrolled)
            note = f"; {missing} not enrolled" if missing else ""
            rate = f"{eer(*map(np.array, over)):.1%}" if all(over) else ""
            print(
                f"| {name} | {how}{note} | {counts[0]} of {trials}; {retries} "
                f"| {counts[1]} of {trials * (len(speech) - 1)} | {rate} |",
                flush=True,
            )


@click.command(help=__doc__)
@click.argument("manifest", type=click.Path(path_type=Path, exists=True))
@click.option("--split", default="eval", show_default=True)
@click.option("--corpus", default="speechocean762", show_default=True)
@click.option("--only", default="", help="Faults whose names hold this.")
@click.option("--speakers", default=10, show_default=True)
def command(manifest: Path, split: str, corpus: str, only: str, speakers: int) -> None:  # noqa: D103
    try:
        main(manifest, split, corpus, only, speakers)
    except EdgeUnlockError as error:
        sys.exit(f"error: {error}\nhint: {error.hint}")


if __name__ == "__main__":
    command()
