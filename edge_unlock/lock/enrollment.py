"""Collects the utterances from which a template is made."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from edge_unlock.encoder.calibration import Quality
from edge_unlock.encoder.encoder import Encoder
from edge_unlock.encoder.features import Float32
from edge_unlock.errors import EnrollmentError
from edge_unlock.lock.hearing import Heard
from edge_unlock.scoring.scorer import Scorer
from edge_unlock.scoring.voices import group
from edge_unlock.segmentation.quality import ENROLL_LIMITS, Fault, speech_seconds

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

MIN_TOTAL_SPEECH_S = 1.5
"""Less than this is rejected too often. On training speakers three words (2.3 s) reject their owner
11 times in 100, one word 39 times; strangers get in no more often by the shorter templates.
"""

MIN_UTTERANCES = 3
"""So many have to be kept, or all of them where fewer were wanted."""

ONE_VOICE_PRIOR = 0.99
"""How often two utterances of an enrollment are by one person, before they are heard.

Set on training speakers (five utterances each): sentences of one are parted in fewer than 1 of
100 enrollments, and a stranger's is found in 99; of single words it is about 3 and 93.
"""

MAJORITY = 2 / 3
"""Who enrolls has spoken so much of it; else nobody can tell which of the voices is meant."""

USUAL_SPREAD, SPREAD_WEIGHT = 0.08, 4.0
"""How far the scores of one person's utterances lie from their mean as a rule (training speakers:
0.06 for sentences, 0.10 for single words), and how many samples that knowledge is worth.

Five samples alone say little of it.
"""


class Utterance(NamedTuple):
    """What was kept of one utterance: ``label`` is the caller's, the embedding (D,) of norm 1."""

    label: str | None
    embedding: Float32
    seconds: float
    quality: Quality


class Enrollment:
    """Judges utterances as they are spoken, and their voices when all are there.

    Whether they are of one person is decided on all of them together (``settle``): the first
    may be the stranger's. The embeddings (n, D) of an ``existing`` template may be given, so
    that what is added is compared with the voice that is there.
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
        self._kept: list[Utterance] = []

    @property
    def utterances(self) -> Sequence[Utterance]:
        """What is good so far."""
        return tuple(self._kept)

    @property
    def kept(self) -> list[str | None]:
        """The labels of the utterances that are good so far."""
        return [utterance.label for utterance in self._kept]

    @property
    def progress(self) -> float:
        """How much of what is wanted is there, 0 to 1."""
        return min(1.0, len(self._kept) / self._wanted)

    @property
    def prompt(self) -> str:
        """What to say next."""
        return PROMPTS[len(self._kept) % len(PROMPTS)]

    def offer(self, heard: Sequence[Heard], label: str | None = None) -> Fault | None:
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
        quality = Quality(seconds, self._encoder.magnitude)
        self._kept.append(Utterance(label, embedding, seconds, quality))
        return None

    def settle(self) -> list[str | None]:
        """Leave out what others than the person said; the labels of that.

        With an existing template the person is the one it is of. Otherwise raises
        ``EnrollmentError`` when no voice has spoken most of the utterances.
        """
        if not self._kept:
            return []
        existing = 0 if self._existing is None else len(self._existing)
        groups = group(self._margins(), existing)
        mine = {number - existing for number in groups[0]}
        if not existing and len(mine) < MAJORITY * len(self._kept):
            raise EnrollmentError(
                f"{len(self._kept)} utterances are of {len(groups)} voices, none of them of most",
                "Nothing was stored. Only the person who enrolls may speak, in a quiet room.",
            )
        others = [one.label for number, one in enumerate(self._kept) if number not in mine]
        self._kept = [one for number, one in enumerate(self._kept) if number in mine]
        return others

    def embeddings(self) -> Float32:
        """What was kept: float32 (n, D), rows of norm 1.

        Raises ``EnrollmentError`` when it is too little for a template.
        """
        seconds = sum(utterance.seconds for utterance in self._kept)
        needed_s = MIN_TOTAL_SPEECH_S if self._existing is None else 0.0
        needed = min(MIN_UTTERANCES, self._wanted)
        if len(self._kept) < needed or seconds < needed_s:
            raise EnrollmentError(
                f"there are {len(self._kept)} usable utterances, {seconds:.1f} s of speech in all; "
                f"{needed} are needed, and {needed_s:.1f} s",
                "Nothing was stored. Record a few whole sentences in a quiet room.",
            )
        return np.stack([utterance.embedding for utterance in self._kept])

    def rejection_rate(self, operating_point: str | None = None) -> float | None:
        """About how often the person will be rejected, 0 to 1, if he goes on speaking like this.

        Each utterance is scored against a template of the others. How far these scores lie above
        the threshold, and how much they vary, makes a normal distribution, whose part below is the
        answer. None for a single utterance. Other days and rooms are not in it.
        """
        voices = self._voices()
        existing = len(voices) - len(self._kept)
        if len(voices) < 2 or not self._kept:
            return None
        margins = []
        for number, utterance in enumerate(self._kept, start=existing):
            others = self._scorer.template(np.delete(voices, number, axis=0))
            threshold = self._scorer.threshold(
                operating_point, quality=utterance.quality, enrolled=len(voices) - 1
            )
            margins.append(self._scorer.score(others, utterance.embedding) - threshold)
        deviations = np.square(np.array(margins) - np.mean(margins)).sum()
        known = SPREAD_WEIGHT * USUAL_SPREAD**2
        variance = (known + deviations) / (SPREAD_WEIGHT + len(margins) - 1)
        return NormalDist(float(np.mean(margins)), float(np.sqrt(variance))).cdf(0)

    def _margins(self) -> Float32:
        """How far the score of each with each lies above what one voice takes, (n, n).

        What was heard worse decides what that is. Of an existing template it is not known, and
        its utterances are not compared with one another.
        """
        voices = self._voices()
        scorer = self._scorer
        thresholds = [scorer.bayes_threshold(ONE_VOICE_PRIOR, one.quality) for one in self._kept]
        thresholds = [np.inf] * (len(voices) - len(thresholds)) + thresholds
        scores = np.array([[scorer.score(one, other) for other in voices] for one in voices])
        margins: Float32 = scores - np.minimum.outer(thresholds, thresholds)
        return margins

    def _voices(self) -> Float32:
        """The embeddings of the template that is there, then those that were kept: (n, D)."""
        kept = [utterance.embedding for utterance in self._kept]
        return np.stack(kept if self._existing is None else [*self._existing, *kept])
