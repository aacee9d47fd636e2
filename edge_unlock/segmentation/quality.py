"""Whether an utterance is good enough to be judged, and what to say if it is not.

An utterance with a fault is not an attempt: nothing is counted, the person may try again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from edge_unlock.segmentation.segment import Segment


class Fault(StrEnum):
    """What is wrong with an utterance."""

    NO_VOICE = "no voice found"
    TOO_SHORT = "too short"
    TOO_QUIET = "too quiet"
    TOO_NOISY = "too noisy"
    CLIPPED = "clipped"
    NARROW_BAND = "telephone quality, a narrow band"
    AUDIO_LOST = "audio was lost"
    OTHER_SPEAKER = "another speaker"

    @property
    def hint(self) -> str:
        """What the person can do, in one sentence."""
        return _HINTS[self]


_HINTS = {
    Fault.NO_VOICE: "Speak towards the microphone.",
    Fault.TOO_SHORT: "Speak a whole sentence.",
    Fault.TOO_QUIET: "Come closer, or raise the microphone's level.",
    Fault.TOO_NOISY: "Come closer, or wait until it is quieter.",
    Fault.CLIPPED: "Step back, or lower the microphone's level.",
    Fault.NARROW_BAND: "Use another microphone, or its wide-band mode.",
    Fault.AUDIO_LOST: "The microphone failed, or the computer was too busy: say it again.",
    Fault.OTHER_SPEAKER: "Only the person who enrolls may speak.",
}


@dataclass(frozen=True)
class QualityLimits:
    """From where on an utterance is usable: seconds with a voice, dBFS, dB, fraction of samples.

    ``min_bandwidth_hz``: voices are all more alike through a telephone, to an encoder and a
    threshold that were made for wide-band speech.
    """

    min_speech_s: float
    min_speech_dbfs: float
    min_snr_db: float
    max_clipped_fraction: float
    min_bandwidth_hz: float = 4_500.0

    def fault_of(self, segments: Sequence[Segment]) -> Fault | None:
        """The first fault of what was said in one go; None if it is good enough."""
        if not segments:
            return Fault.NO_VOICE
        longest = max(segments, key=lambda segment: len(segment.samples))
        # written so that a NaN is a fault
        usable = {
            Fault.TOO_SHORT: speech_seconds(segments) >= self.min_speech_s,
            Fault.TOO_QUIET: longest.speech_dbfs >= self.min_speech_dbfs,
            Fault.CLIPPED: longest.clipped_fraction <= self.max_clipped_fraction,
            Fault.TOO_NOISY: longest.snr_db >= self.min_snr_db,
            Fault.NARROW_BAND: bandwidth_hz(segments) >= self.min_bandwidth_hz,
        }
        return next((fault for fault, well in usable.items() if not well), None)


def speech_seconds(segments: Sequence[Segment]) -> float:
    """Seconds from the first to the last sound of each segment, summed."""
    return sum(segment.end_s - segment.start_s for segment in segments)


def bandwidth_hz(segments: Sequence[Segment]) -> float:
    """Up to where anything was heard in what was said in one go."""
    return max((segment.bandwidth_hz for segment in segments), default=0.0)


ENROLL_LIMITS = QualityLimits(
    min_speech_s=0.6,
    min_speech_dbfs=-45.0,
    min_snr_db=10.0,
    max_clipped_fraction=0.01,
    min_bandwidth_hz=6_000.0,
)
"""A template is compared with everything that comes after: it is worth a second try.

Where templates and voices end at 5.5 kHz (a sample rate of 11 kHz), one stranger in
twenty is let in.

How much speech it takes is judged of all utterances together (``enrollment``): five single words
make a template that works.
"""

VERIFY_LIMITS = QualityLimits(
    min_speech_s=0.6, min_speech_dbfs=-50.0, min_snr_db=3.0, max_clipped_fraction=0.05
)
"""Below these the score says more of the room than of the voice."""

GOOD_LIMITS = QualityLimits(
    min_speech_s=1.5,
    min_speech_dbfs=-45.0,
    min_snr_db=10.0,
    max_clipped_fraction=0.01,
    min_bandwidth_hz=6_000.0,
)
"""What falls short of these is judged, and may be why its speaker was not recognised."""
