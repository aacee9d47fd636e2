"""Who is speaking: scores what was said against templates and decides."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from edge_unlock.encoder.calibration import Quality
from edge_unlock.encoder.encoder import Embedding, Encoder
from edge_unlock.encoder.features import Float32
from edge_unlock.scoring.band import Band
from edge_unlock.scoring.scorer import LEAST_RATE, Scorer, accepts
from edge_unlock.segmentation.quality import GOOD_LIMITS, Fault, bandwidth_hz, speech_seconds
from edge_unlock.segmentation.segment import Segment
from edge_unlock.vault import ModelIdentity, Place, Template
from edge_unlock.vault.attempts import Failures

NEAR = 10.0
"""A voice is near somebody's if strangers are as much like it at most so many times as often as
they are accepted."""


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


LARGEST_HOUSEHOLD = 50
"""Of more people, each is not compared with every other: there are strangers enough among them."""


DECOY_UTTERANCES = 5
"""As many as ``enroll`` asks for."""


class Recognizer:
    """Compares voices with the templates of one or more persons, made by the model ``identity``.

    ``operating_point`` decides for all of them, if it is given; else each person's own does,
    else the model's default. It is refused here, by ``ModelError``, if it is unknown.
    """

    def __init__(
        self,
        encoder: Encoder,
        scorer: Scorer,
        identity: ModelIdentity,
        operating_point: str | None = None,
    ) -> None:
        self.identity = identity
        self._encoder = encoder
        self._model_scorer = self._scorer = scorer
        self._operating_point = operating_point
        self._candidates: dict[str, _Candidate] = {}
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
        self._scorer = scorer
        directions = {one.user: scorer.template(one.embeddings) for one in (*templates, *others)}
        is_household = 1 < len(directions) <= LARGEST_HOUSEHOLD
        self._candidates = {}
        for one in templates:
            mine = directions[one.user]
            rest = [direction for user, direction in directions.items() if user != one.user]
            candidate = _Candidate(
                template=scorer.decoy(mine) if one.is_decoy else mine,
                utterances=DECOY_UTTERANCES if one.is_decoy else len(one.embeddings),
                strangers=np.stack(rest) if is_household else None,
                operating_point=self._operating_point or one.operating_point,
                is_decoy=one.is_decoy,
            )
            scorer.threshold(candidate.operating_point)
            self._candidates[one.user] = candidate

    @property
    def names(self) -> list[str]:
        """Whom voices are compared with."""
        return list(self._candidates)

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

    def strictness(self, name: str, wanted: float) -> float:
        """How much stricter than usually ``name`` can be decided about: ``wanted``, or less.

        A model knows no rarer rate than ``LEAST_RATE``, and one without rates none at all.
        """
        if not self._scorer.knows_rates:
            return 1.0
        rate = self._scorer.rate(self._candidates[name].operating_point)
        return max(1.0, min(wanted, rate / LEAST_RATE))

    def compare(self, voice: Voice, strictness: Mapping[str, float]) -> "Comparison":
        """Compare with those whom ``strictness`` names, and decide so much more strictly.

        Accepts the one whom the voice is furthest above the threshold of, if it is above it. Those
        who are not named count for the number of chances that a stranger has.
        """
        quality = voice.quality
        told = Decision(
            decision="rejected",
            seconds=float(np.asarray(quality.seconds)),
            magnitude=float(np.asarray(quality.magnitude)),
            bandwidth_hz=voice.bandwidth_hz,
        )
        if not strictness:
            return Comparison(msgspec.structs.replace(told, reason="nobody is enrolled"), ())
        chances = len(self._candidates)
        scores, thresholds, fars, near = {}, {}, {}, []
        for name, factor in strictness.items():
            candidate = self._candidates[name]
            score = self._scorer.score(candidate.template, voice.embedding, candidate.strangers)
            scores[name] = score
            thresholds[name] = self._scorer.threshold(
                candidate.operating_point,
                candidates=chances * factor,
                quality=quality,
                enrolled=candidate.utterances,
            )
            far = fars[name] = self._scorer.false_accept_rate(
                score, candidates=chances, quality=quality, enrolled=candidate.utterances
            )
            if far is None or far <= NEAR * self._scorer.rate(candidate.operating_point) / factor:
                near.append(name)
        # who lies furthest above his own threshold; a NaN lies below all
        best = max(
            scores, key=lambda name: np.nan_to_num(scores[name] - thresholds[name], nan=-np.inf)
        )
        score, threshold, far = scores[best], thresholds[best], fars[best]
        candidate = self._candidates[best]
        accepted = accepts(score, threshold) and not candidate.is_decoy
        rate = self._scorer.false_accept_rate(
            threshold, candidates=chances, quality=quality, enrolled=candidate.utterances
        )
        decision = msgspec.structs.replace(
            told,
            decision="accepted" if accepted else "rejected",
            user=best if accepted else None,
            match=Band.of(score, threshold, accepted=accepted, far=far, rate=rate),
            score=round(score, 4),
            far=far if far is None else float(f"{far:.2g}"),
            llr=self._scorer.llr(score, quality),
            threshold=round(threshold, 4),
            weakness=None if accepted else voice.weakness,
            reason=None if accepted else "voice does not match",
        )
        return Comparison(decision, tuple(near))


class Comparison(NamedTuple):
    """A decision, and the names that the voice came near to."""

    decision: Decision
    near: tuple[str, ...]


class _Candidate(NamedTuple):
    """A person's template (D,), of whom he is told apart (n, D), and how sure one must be."""

    template: Float32
    utterances: int
    strangers: Float32 | None
    operating_point: str | None
    is_decoy: bool
