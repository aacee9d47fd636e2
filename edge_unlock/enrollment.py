"""Collects the utterances from which a template is made."""

from collections.abc import Sequence

import numpy as np

from edge_unlock.calibration import Quality
from edge_unlock.encoder import Encoder
from edge_unlock.errors import EnrollmentError
from edge_unlock.features import Float32
from edge_unlock.hearing import Heard
from edge_unlock.quality import ENROLL_LIMITS, Fault, speech_seconds
from edge_unlock.scoring import Scorer, accepts

PROMPTS = (
    "your own unlock phrase, as you will say it at the door",
    "“The quick brown fox jumps over the lazy dog.”",
    "your own unlock phrase once more, a little faster",
    "“Today is a good day to walk along the river and watch the boats.”",
    "your own unlock phrase, as if it were early in the morning",
    "“Please call Stella, and ask her to bring these things from the store.”",
    "“She had your dark suit in greasy wash water all year.”",
)
"""What to read, in turn: the phrase itself, and sentences with many different sounds."""

MIN_TOTAL_SPEECH_S = 3.0
"""Less than this gives a template that hardly tells people apart."""


SAME_SPEAKER_PRIOR = 0.9
"""How often the next utterance of an enrollment is by the same person, before it is heard."""


class Enrollment:
    """Judges utterances one by one and keeps the embeddings of the good ones.

    ``embeddings`` of an existing template may be given, so that what is added is compared
    with the voice that is there.
    """

    def __init__(
        self,
        encoder: Encoder,
        scorer: Scorer,
        wanted: int,
        existing: Float32 | None = None,
    ) -> None:
        self._encoder = encoder
        self._scorer = scorer
        self._wanted = wanted
        self._existing = existing
        self._accepted: list[Float32] = []
        self._seconds = 0.0

    @property
    def accepted(self) -> int:
        """How many utterances were good."""
        return len(self._accepted)

    @property
    def progress(self) -> float:
        """How much of what is wanted is there, 0 to 1."""
        return min(1.0, len(self._accepted) / self._wanted)

    @property
    def prompt(self) -> str:
        """What to say next."""
        return PROMPTS[len(self._accepted) % len(PROMPTS)]

    def offer(self, heard: Sequence[Heard]) -> Fault | None:
        """Take what was said in one go: None if it was kept, what is wrong with it otherwise."""
        segments = [utterance.segment for utterance in heard]
        if any(utterance.audio_lost for utterance in heard):
            return Fault.AUDIO_LOST
        fault = ENROLL_LIMITS.fault_of(segments)
        if fault is not None:
            return fault
        embedding = self._encoder.embed_pieces(segment.samples for segment in segments)
        if embedding is None:
            return Fault.TOO_SHORT
        seconds = speech_seconds(segments)
        if not self._same_speaker(embedding, Quality(seconds, self._encoder.magnitude)):
            return Fault.OTHER_SPEAKER
        self._accepted.append(embedding)
        self._seconds += seconds
        return None

    def embeddings(self) -> Float32:
        """What was kept: float32 (n, D), rows of norm 1.

        Raises ``EnrollmentError`` when it is too little for a template.
        """
        if not self._accepted or self._seconds < MIN_TOTAL_SPEECH_S:
            raise EnrollmentError(
                f"only {self._seconds:.1f} s of usable speech in {self.accepted} utterances; "
                f"{MIN_TOTAL_SPEECH_S:.0f} s are needed",
                "Nothing was stored. Record a few whole sentences in a quiet room.",
            )
        return np.stack(self._accepted)

    def _same_speaker(self, embedding: Float32, quality: Quality) -> bool:
        known = [] if self._existing is None else list(self._existing)
        known += self._accepted
        if not known:
            return True
        score = self._scorer.score(self._scorer.template(np.stack(known)), embedding)
        return accepts(score, self._scorer.bayes_threshold(SAME_SPEAKER_PRIOR, quality))
