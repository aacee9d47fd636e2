"""Who is speaking: scores what was said against templates and decides."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from edge_unlock.encoder.calibration import Quality
from edge_unlock.encoder.encoder import Embedding, Encoder
from edge_unlock.encoder.features import Float32
from edge_unlock.scoring.band import Band
from edge_unlock.scoring.candidates import Candidates, Evidence, Floats
from edge_unlock.scoring.scorer import LEAST_RATE, Scorer
from edge_unlock.segmentation.quality import GOOD_LIMITS, Fault, bandwidth_hz, speech_seconds
from edge_unlock.segmentation.segment import Segment
from edge_unlock.vault import ModelIdentity, Place, Template
from edge_unlock.vault.attempts import Failures


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One of those whom a voice was compared with; the fields are those of ``Decision``."""

    user: str
    match: Band
    score: float
    far: float | None
    llr: float | None
    threshold: float


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
    ``failed_since``: of an acceptance, the attempts that failed since the person's last one.
    ``wait_s``: of a lockout, when the next attempt is taken (None: after ``edge-unlock enable``).

    ``candidates``: whose voice it may be, where that was asked for, the likeliest first: in the
    order in which they would be accepted. ``none_llr``: how much likelier, as a natural logarithm,
    the voice is to be nobody's of all who were compared than to be one's of them.
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
    failed_since: Failures | None = None
    wait_s: int | None = None
    candidates: tuple[Candidate, ...] = ()
    none_llr: float | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether to unlock."""
        return self.decision == "accepted"

    @classmethod
    def retry(cls, fault: Fault, seconds: float) -> "Decision":
        """The utterance could not be judged; this is no rejection."""
        return cls(decision="retry", seconds=seconds, reason=fault)


class Voice(NamedTuple):
    """What was said in one go, ready to be compared."""

    embedding: Float32
    """(D,), norm 1."""
    quality: Quality
    bandwidth_hz: float
    weakness: Fault | None


class Recognizer:
    """Compares voices with the templates of one or more persons, made by the model ``identity``.

    ``operating_point`` decides for all of them, if it is given; else each person's own does,
    else the model's default. It is refused here, by ``ModelError``, if it is unknown.
    ``told``: so many candidates are told with each decision.
    """

    def __init__(
        self,
        encoder: Encoder,
        scorer: Scorer,
        identity: ModelIdentity,
        operating_point: str | None = None,
        *,
        told: int = 0,
    ) -> None:
        self.identity = identity
        self._encoder = encoder
        self._model_scorer = self._scorer = scorer
        self._operating_point = operating_point
        self._told = told
        self._candidates = Candidates(scorer, ())
        scorer.threshold(operating_point)

    def know(
        self,
        templates: Sequence[Template],
        others: Sequence[Template] = (),
        place: Place | None = None,
    ) -> None:
        """Compare with these from now on, and with nobody else.

        To each of them all the rest are strangers, as are ``others`` and the voices of the
        ``place``. Raises ``ModelError`` for a person's operating point that is unknown.
        """
        scorer = self._model_scorer
        if place is not None:
            scorer = scorer.placed(place.voices, place.entry.shift)
        self._candidates = Candidates(scorer, templates, others, self._operating_point)
        self._scorer = scorer

    @property
    def names(self) -> list[str]:
        """Whom voices are compared with."""
        return self._candidates.names

    def hear(self, segments: Sequence[Segment], embedding: Embedding | None = None) -> Voice | None:
        """Embed what was said in one go: the slow part. None if it is too short for the encoder.

        ``embedding``: of what was embedded already, while it was spoken.
        """
        if embedding is None:
            self._encoder.embed_pieces(segment.samples for segment in segments)
            embedding = self._encoder.utterance
        if embedding is None:
            return None
        quality = Quality(round(speech_seconds(segments), 2), round(embedding.magnitude, 3))
        weakness = GOOD_LIMITS.fault_of(segments)
        return Voice(embedding.direction, quality, bandwidth_hz(segments), weakness)

    def strictness(self, wanted: Floats) -> Floats:
        """How much stricter than usually each can be decided about, as ``wanted`` (M,), or less."""
        return self._candidates.bounded(wanted, LEAST_RATE)

    def compare(self, voice: Voice, strictness: Floats) -> "Comparison":
        """Compare with all of ``names`` whose ``strictness`` (M,) is a number, so much stricter.

        Accepts the one whom the voice is furthest above the threshold of, if it is above it. Those
        who are not compared count for the number of chances that a stranger has.
        """
        quality, known = voice.quality, self._candidates
        told = Decision(
            decision="rejected",
            seconds=float(np.asarray(quality.seconds)),
            magnitude=float(np.asarray(quality.magnitude)),
            bandwidth_hz=voice.bandwidth_hz,
        )
        if np.isnan(strictness).all():
            return Comparison(msgspec.structs.replace(told, reason="nobody is enrolled"), ())
        evidence = known.compare(voice.embedding, quality, strictness)
        ranked = evidence.best(self._told)
        candidates = [self._candidate(evidence, place, quality) for place in ranked]
        best, row = candidates[0], evidence.rows[ranked[0]]
        accepted = evidence.accepts(ranked[0]) and not known.is_decoy[row]
        decision = msgspec.structs.replace(
            told,
            decision="accepted" if accepted else "rejected",
            user=best.user if accepted else None,
            match=best.match,
            score=best.score,
            far=best.far,
            llr=best.llr,
            threshold=best.threshold,
            weakness=None if accepted else voice.weakness,
            reason=None if accepted else "voice does not match",
            candidates=tuple(candidates[: self._told]),
            none_llr=self._scorer.none_llr(evidence.scores, quality) if self._told else None,
        )
        near = tuple(known.names[row] for row in evidence.rows[evidence.is_near])
        return Comparison(decision, near)

    def _candidate(self, evidence: Evidence, place: int, quality: Quality) -> Candidate:
        """What is told of the one who stands at ``place`` in the evidence."""
        row = evidence.rows[place]
        score, threshold = float(evidence.scores[place]), float(evidence.thresholds[place])
        far, rate = None, None
        if self._scorer.knows_rates:
            far = float(evidence.fars[place])
            rate = self._scorer.false_accept_rate(
                threshold,
                candidates=len(self._candidates),
                quality=quality,
                enrolled=int(self._candidates.utterances[row]),
            )
        accepted = evidence.accepts(place) and not self._candidates.is_decoy[row]
        return Candidate(
            user=self._candidates.names[row],
            match=Band.of(score, threshold, accepted=accepted, far=far, rate=rate),
            score=round(score, 4),
            far=None if far is None else float(f"{far:.2g}"),
            llr=self._scorer.llr(score, quality),
            threshold=round(threshold, 4),
        )


class Comparison(NamedTuple):
    """A decision, and the names that the voice came near to."""

    decision: Decision
    near: tuple[str, ...]
