"""What a device learns of the place where it stands, from other people who speak there.

Every microphone and room makes voices more alike, or less, than those that a model's thresholds
were set on. Some minutes of others, of the radio or of television, heard by the same microphone,
tell by how much; and their voices are the strangers that an owner is best set against.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.calibration import Quality
from edge_unlock.encoder.features import Float32
from edge_unlock.encoder.nontarget import upper_quantiles
from edge_unlock.encoder.similarity import unit
from edge_unlock.errors import CalibrationError
from edge_unlock.scoring.scorer import LEAST_RATE, Scorer, accepts, rate_name
from edge_unlock.scoring.voices import group
from edge_unlock.vault import Template

MIN_VOICES = 3
"""Fewer tell nothing of a place."""
ENOUGH_VOICES = 10
"""From here on the shift is trusted by two thirds."""
MOST_VOICES = 64
"""More are not stored: they gain nothing, and every decision compares with each."""
MOST_UTTERANCES = 100
"""More are not grouped into voices: the time for it grows with their third power."""

ONE_VOICE_PRIOR = 0.2
"""How often two utterances of a broadcast or a conversation are by one person."""
PRIOR_VOICES = 5.0
"""The thresholds of the model are worth so many voices of the place. Set on held-out speakers."""
FEW = 0.05
"""Of strangers: what they reach is the rarest that some ten voices can tell of."""
GREATEST_RISE, GREATEST_FALL = 0.15, 0.05
"""No place that was heard needed more; what seems to is a mistake. It falls by less, and only
where there are ``ENOUGH_VOICES``: a few that are very unlike the owner must not open the lock.
"""

CONFIDENCE = 0.95
SELDOM = 0.1
"""Who is rejected more often than this should enroll more utterances."""


Floats = NDArray[np.float64]


class Utterance(NamedTuple):
    """What somebody else said: the embedding (D,), of norm 1, and how well it was heard."""

    embedding: Float32
    quality: Quality


@dataclass(frozen=True)
class Share:
    """How often something happened: ``count`` of ``trials``, which depend on one another."""

    count: int
    trials: int
    independent: int
    """So many trials at most tell something of their own."""

    @property
    def rate(self) -> float:
        """Between 0 and 1."""
        return self.count / self.trials if self.trials else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Where the rate lies with a probability of 95%.

        Wilson, "Probable inference, the law of succession, and statistical inference" (1927);
        where nothing happened from 0 to 3/n, the rule of three (Hanley and Lippman-Hand, 1983).
        """
        n = self.independent
        if not n:
            return 0.0, 1.0
        if not self.count:
            return 0.0, min(1.0, 3 / n)
        z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
        middle = (self.rate + z * z / (2 * n)) / (1 + z * z / n)
        reach = z / (1 + z * z / n) * sqrt(self.rate * (1 - self.rate) / n + z * z / (4 * n * n))
        return max(0.0, middle - reach), min(1.0, middle + reach)


class Survey(NamedTuple):
    """What was found out about a place."""

    voices: Float32
    """(n, D), one row of norm 1 a person."""
    shift: float
    """By how much thresholds rise."""
    owners: tuple[str, ...]
    """Who of the enrolled seems to have spoken, too; that was left out."""
    accepted_before: Share
    """Strangers who were let in by the thresholds of the model."""
    accepted: Share
    """The same by those of the place: each voice by what the others taught."""
    rejected_before: Share
    """Owners' enrollment utterances that did not match the rest of their template."""
    rejected: Share

    @property
    def advice(self) -> list[str]:
        """What to do better, a sentence each."""
        sentences = []
        if len(self.voices) < ENOUGH_VOICES:
            sentences.append(
                f"{len(self.voices)} voices are few: {ENOUGH_VOICES} or more tell a place well."
            )
        if self.rejected.rate > SELDOM:
            sentences.append(
                "Those who are enrolled would have to repeat themselves often: add utterances with "
                "enroll --add, spoken as at the lock."
            )
        if self.accepted.interval[0] > 0.02:
            sentences.append(
                "Strangers are too much alike here: decide at a lower rate, such as --far 0.001."
            )
        return sentences


def survey(
    scorer: Scorer,
    templates: Sequence[Template],
    utterances: Sequence[Utterance],
    operating_point: str | None = None,
) -> Survey:
    """Learn from ``utterances`` of other people what the place is like for ``templates``.

    ``scorer`` is that of the model, which knows no place. Of more than ``MOST_UTTERANCES`` some
    are left out, evenly. Raises ``CalibrationError`` when fewer than ``MIN_VOICES`` others spoke.
    """
    owners = [_Owner(one, scorer.template(one.embeddings), operating_point) for one in templates]
    others = _voices(scorer, _thinned(utterances, MOST_UTTERANCES))
    enrolled = {owner.name for owner in owners for one in others if owner.spoke(scorer, one)}
    others = [one for one in others if not any(owner.spoke(scorer, one) for owner in owners)]
    if len(others) < MIN_VOICES:
        raise CalibrationError(
            f"{MIN_VOICES} other voices are needed; heard: {len(others)}",
            f"Let {ENOUGH_VOICES} or more people, a radio or a television be heard for some "
            "minutes.",
        )
    others = others[:MOST_VOICES]
    rows = np.stack([one.row for one in others])
    excess = [
        _excess(scorer.placed(np.delete(rows, number, axis=0)), owners, one)
        for number, one in enumerate(others)
    ]
    shift = _shift(excess)
    without = [
        scorer.placed(
            np.delete(rows, number, axis=0), _shift(excess[:number] + excess[number + 1 :])
        )
        for number in range(len(others))
    ]
    return Survey(
        rows,
        shift,
        tuple(sorted(enrolled)),
        _accepted([scorer] * len(others), owners, others),
        _accepted(without, owners, others),
        _rejected(scorer, owners, others),
        _rejected(scorer.placed(rows, shift), owners, others),
    )


class _Voice(NamedTuple):
    """One of the other people: what was said, and its direction (D,)."""

    utterances: list[Utterance]
    row: Float32


class _Owner(NamedTuple):
    """Somebody who is enrolled."""

    enrolled: Template
    template: Float32
    asked: str | None

    @property
    def name(self) -> str:
        return self.enrolled.user

    @property
    def utterances(self) -> int:
        return len(self.enrolled.embeddings)

    @property
    def operating_point(self) -> str | None:
        return self.asked or self.enrolled.operating_point

    def spoke(self, scorer: Scorer, voice: _Voice) -> bool:
        """Whether the voice is the owner's own: strangers are hardly ever so much alike."""
        scores = [scorer.score(self.template, one.embedding) for one in voice.utterances]
        sure = [
            scorer.threshold(rate_name(LEAST_RATE), quality=one.quality, enrolled=self.utterances)
            for one in voice.utterances
        ]
        return accepts(float(np.mean(scores)), float(np.mean(sure)))


def _excess(scorer: Scorer, owners: Sequence[_Owner], voice: _Voice) -> Floats:
    """By how much each comparison of a voice exceeds what few strangers reach elsewhere: (n,)."""
    if not scorer.knows_rates:
        return np.zeros(0)
    found = [
        scorer.score(owner.template, one.embedding)
        - scorer.reached(FEW, quality=one.quality, enrolled=owner.utterances)
        for owner in owners
        for one in voice.utterances
    ]
    return np.array(found)


def _shift(excess: Sequence[Floats]) -> float:
    """What thresholds rise by, so that as few strangers reach them here.

    Each voice, of its comparisons ``excess``, counts alike. Where voices are few it is drawn to 0.
    """
    values = np.concatenate(excess)
    if not len(values):
        return 0.0
    weights = np.concatenate([np.full(len(one), 1 / len(one)) for one in excess])
    (reached,) = upper_quantiles(values, weights, (FEW,))
    shift = reached * len(excess) / (len(excess) + PRIOR_VOICES)
    fall = GREATEST_FALL if len(excess) >= ENOUGH_VOICES else 0.0
    return float(np.clip(shift, -fall, GREATEST_RISE))


def _accepted(
    scorers: Sequence[Scorer], owners: Sequence[_Owner], others: Sequence[_Voice]
) -> Share:
    """How often the others, each scored by the one of ``scorers``, are let in."""
    accepted = [
        accepts(
            scorer.score(owner.template, one.embedding),
            scorer.threshold(owner.operating_point, quality=one.quality, enrolled=owner.utterances),
        )
        for scorer, voice in zip(scorers, others, strict=True)
        for owner in owners
        for one in voice.utterances
    ]
    return Share(sum(accepted), len(accepted), len(others) * len(owners))


def _rejected(scorer: Scorer, owners: Sequence[_Owner], others: Sequence[_Voice]) -> Share:
    """How often an enrollment utterance is not like the rest of its template.

    How long they were is not known; as long as what was heard of others.
    """
    said = [np.asarray(one.quality.seconds) for voice in others for one in voice.utterances]
    quality = Quality(float(np.median(np.stack(said))))
    rejected = []
    for owner in owners:
        rows = owner.enrolled.embeddings
        for number in range(len(rows) if len(rows) > 1 else 0):
            rest = np.delete(rows, number, axis=0)
            score = scorer.score(scorer.template(rest), rows[number])
            needed = scorer.threshold(owner.operating_point, quality=quality, enrolled=len(rest))
            rejected.append(not accepts(score, needed))
    return Share(sum(rejected), len(rejected), len(rejected))


def _voices(scorer: Scorer, utterances: Sequence[Utterance]) -> list[_Voice]:
    """Who of the others said what, those who spoke most first."""
    if not utterances:
        return []
    limits = [scorer.bayes_threshold(ONE_VOICE_PRIOR, one.quality) for one in utterances]
    rows = [one.embedding for one in utterances]
    scores = np.array([[scorer.score(one, other) for other in rows] for one in rows])
    margins = scores - np.minimum.outer(limits, limits)
    voices = []
    for members in group(np.asarray(margins, dtype=np.float32)):
        said = [utterances[number] for number in members]
        voices.append(_Voice(said, unit(np.mean([one.embedding for one in said], axis=0))))
    return voices


def _thinned(utterances: Sequence[Utterance], most: int) -> list[Utterance]:
    step = max(1.0, len(utterances) / most)
    return [utterances[int(number * step)] for number in range(min(most, len(utterances)))]
