"""Who is speaking: scores what was said against templates and decides."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from edge_unlock.band import Band
from edge_unlock.calibration import Quality
from edge_unlock.encoder import Encoder
from edge_unlock.features import Float32
from edge_unlock.quality import GOOD_LIMITS, Fault, bandwidth_hz, speech_seconds
from edge_unlock.scoring import Scorer, accepts
from edge_unlock.segment import Segment
from edge_unlock.vault import Template


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided, in the fields that ``--json`` prints.

    ``user``: the claimed name in a verification, the recognised one in an identification.
    ``match`` says how well the voice matched, where it was compared: all that is told of the rest
    unless scores are asked for.
    ``score`` is that of ``Scorer``, ``far`` how probably a stranger scores as high (None: unknown),
    ``llr`` a natural-log likelihood ratio (None: not calibrated),
    ``threshold`` what the score was compared with, given ``seconds``, how much speech was judged,
    and ``magnitude``, how long its embedding was (``Encoder.magnitude``). ``bandwidth_hz``: up to
    where anything was heard. ``weakness``: what may have kept a voice from being recognised.
    """

    decision: Literal["accepted", "rejected", "retry", "locked out"]
    user: str | None = None
    match: Band | None = None
    score: float | None = None
    far: float | None = None
    llr: float | None = None
    threshold: float | None = None
    seconds: float = 0.0
    magnitude: float | None = None
    bandwidth_hz: float | None = None
    weakness: Fault | None = None
    reason: str | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether to unlock."""
        return self.decision == "accepted"

    @classmethod
    def retry(cls, fault: Fault, seconds: float) -> "Decision":
        """The utterance could not be judged; this is no rejection."""
        return cls(decision="retry", seconds=seconds, reason=fault)


class Recognizer:
    """Compares voices with the templates of one or more persons.

    ``operating_point`` decides for all of them, if it is given; else each person's own does,
    else the model's default.
    """

    def __init__(
        self,
        encoder: Encoder,
        scorer: Scorer,
        templates: Sequence[Template],
        operating_point: str | None = None,
    ) -> None:
        self._encoder = encoder
        self._scorer = scorer
        self._candidates = {
            template.user: _Candidate(
                scorer.template(template.embeddings), operating_point or template.operating_point
            )
            for template in templates
        }
        for candidate in self._candidates.values():
            scorer.threshold(candidate.operating_point)  # an unknown one is refused here

    def decide(self, segments: Sequence[Segment], claimed: str | None = None) -> Decision:
        """Accept the best-scoring person if the score is enough, reject otherwise.

        ``claimed`` names who the speaker says to be: only that template counts, and a
        rejection carries the name.
        """
        embedding = self._encoder.embed_pieces(segment.samples for segment in segments)
        seconds = round(speech_seconds(segments), 2)
        magnitude = self._encoder.magnitude
        if embedding is None or magnitude is None:
            return Decision.retry(Fault.TOO_SHORT, seconds)
        magnitude = round(magnitude, 3)
        quality = Quality(seconds, magnitude)
        candidates = self._candidates
        if claimed is not None:
            candidates = {claimed: candidates[claimed]}
        if not candidates:
            return Decision(decision="rejected", seconds=seconds, reason="nobody is enrolled")
        scores = {
            user: self._scorer.score(candidate.template, embedding)
            for user, candidate in candidates.items()
        }
        thresholds = {
            user: self._scorer.threshold(
                candidate.operating_point, candidates=len(self._candidates), quality=quality
            )
            for user, candidate in candidates.items()
        }
        # who lies furthest above his own threshold; a NaN lies below all
        best = max(
            scores, key=lambda user: np.nan_to_num(scores[user] - thresholds[user], nan=-np.inf)
        )
        score, threshold = scores[best], thresholds[best]
        accepted = accepts(score, threshold)
        far, rate = (
            self._scorer.false_accept_rate(
                reached, candidates=len(self._candidates), quality=quality
            )
            for reached in (score, threshold)
        )
        return Decision(
            decision="accepted" if accepted else "rejected",
            user=best if accepted else claimed,
            match=Band.of(score, threshold, accepted=accepted, far=far, rate=rate),
            score=round(score, 4),
            far=far if far is None else float(f"{far:.2g}"),
            llr=self._scorer.llr(score, quality),
            threshold=round(threshold, 4),
            seconds=seconds,
            magnitude=magnitude,
            bandwidth_hz=bandwidth_hz(segments),
            weakness=None if accepted else GOOD_LIMITS.fault_of(segments),
            reason=None if accepted else "voice does not match",
        )


class _Candidate(NamedTuple):
    """A person's template (D,), and how sure one must be that it is he."""

    template: Float32
    operating_point: str | None
