"""Who is speaking: scores what was said against templates and decides."""

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from edge_unlock.encoder import Encoder
from edge_unlock.quality import Fault, speech_seconds
from edge_unlock.scoring import Scorer, accepts
from edge_unlock.segment import Segment
from edge_unlock.vault import Template


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided, in the fields that ``--json`` prints.

    ``user``: the claimed name in a verification, the recognised one in an identification.
    ``score`` is a cosine, ``llr`` a natural-log likelihood ratio (None without calibration),
    ``threshold`` what the score was compared with, ``seconds`` how much speech was judged.
    """

    decision: Literal["accepted", "rejected", "retry", "locked out"]
    user: str | None = None
    score: float | None = None
    llr: float | None = None
    threshold: float | None = None
    seconds: float = 0.0
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
    """Compares voices with the templates of one or more persons."""

    def __init__(
        self,
        encoder: Encoder,
        scorer: Scorer,
        templates: Sequence[Template],
        operating_point: str | None = None,
    ) -> None:
        self._encoder = encoder
        self._scorer = scorer
        self._templates = {
            template.user: scorer.template(template.embeddings) for template in templates
        }
        self._threshold = scorer.threshold(operating_point, candidates=len(templates))

    def decide(self, segments: Sequence[Segment], claimed: str | None = None) -> Decision:
        """Accept the best-scoring person if the score is enough, reject otherwise.

        ``claimed`` names who the speaker says to be: only that template counts, and a
        rejection carries the name.
        """
        embedding = self._encoder.embed_pieces(segment.samples for segment in segments)
        seconds = round(speech_seconds(segments), 2)
        if embedding is None:
            return Decision.retry(Fault.TOO_SHORT, seconds)
        candidates = self._templates if claimed is None else {claimed: self._templates[claimed]}
        scores = {
            user: self._scorer.score(template, embedding) for user, template in candidates.items()
        }
        if not scores:
            return Decision(decision="rejected", seconds=seconds, reason="nobody is enrolled")
        best = max(scores, key=lambda user: np.nan_to_num(scores[user], nan=-np.inf))
        accepted = accepts(scores[best], self._threshold)
        return Decision(
            decision="accepted" if accepted else "rejected",
            user=best if accepted else claimed,
            score=round(scores[best], 4),
            llr=self._scorer.llr(scores[best]),
            threshold=round(self._threshold, 4),
            seconds=seconds,
            reason=None if accepted else "voice does not match",
        )
