"""Whether two voices are alike enough: scores, thresholds, likelihood ratios."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_unlock.encoder.calibration import USUAL, Quality
from edge_unlock.encoder.features import Float32
from edge_unlock.encoder.gallery import Gallery
from edge_unlock.encoder.nontarget import USUAL_ENROLLED
from edge_unlock.encoder.package import Manifest, ModelPackage
from edge_unlock.encoder.similarity import unit
from edge_unlock.errors import ModelError, PolicyError

RATE_PREFIX = "far-"
"""Begins the name of an operating point: a false-accept rate follows."""

LEAST_RATE, GREATEST_RATE = 1e-4, 0.05
"""What a model with ``NonTarget`` can be asked for. Rarer is not known, more is no lock."""

DECOY_VOICES = 3
"""So many voices of the cohort make one of nobody."""


def rate_name(rate: float) -> str:
    """The operating point of a false-accept rate, such as ``far-0.003``."""
    return f"{RATE_PREFIX}{rate:g}"


class Strictness(NamedTuple):
    """What an operating point asks for; both may be arrays (n,)."""

    rate: ArrayLike
    threshold: ArrayLike
    """The score, of a model that does not know how high strangers score."""


class Scorer:
    """Scores embeddings against templates with what a model package carries for it.

    ``default`` names the operating point where none is named; without it, the model does.
    ``loosest`` is the false-accept rate that none may exceed, for a lock: what was agreed to.
    ``neighbours`` (n, D) are other voices of the place, and ``shift`` is by how much higher than
    elsewhere strangers score there.
    """

    def __init__(
        self,
        package: ModelPackage,
        default: str | None = None,
        *,
        loosest: float = 1.0,
        neighbours: Float32 | None = None,
        shift: float = 0.0,
    ) -> None:
        self._package = package
        self._manifest: Manifest = package.manifest
        self._similarity = package.similarity_among(neighbours)
        self._default = default
        self._loosest = loosest
        self._shift = shift

    def placed(self, neighbours: Float32, shift: float = 0.0) -> "Scorer":
        """The same for a place whose voices (n, D), and the shift of its scores, are known."""
        return Scorer(
            self._package,
            self._default,
            loosest=self._loosest,
            neighbours=neighbours,
            shift=shift,
        )

    def template(self, embeddings: Float32) -> Float32:
        """The template of a person: float32 (D,), norm 1, from embeddings (n, D) of norm 1."""
        mean: Float32 = embeddings.mean(axis=0)
        return unit(mean)

    def templates(self, embeddings: Sequence[Float32]) -> Float32:
        """The templates (M, D) of many persons, each of embeddings (n, D) of norm 1."""
        counts = np.array([len(one) for one in embeddings])
        starts = np.cumsum(counts) - counts
        sums = np.add.reduceat(np.concatenate(embeddings), starts, axis=0)
        return unit((sums / counts[:, None]).astype(np.float32))

    def gallery(self, templates: Float32, people: Float32 | None = None) -> Gallery:
        """Templates (M, D), to score many embeddings with: as ``score``, for all at once.

        To each of them the ``people`` (P, D), of whom the first M are theirs, are strangers.
        """
        return Gallery(self._similarity, templates, people)

    def decoy(self, direction: Float32) -> Float32:
        """The template of nobody: (D,), norm 1, between the cohort's nearest to a direction (D,).

        So it scores as people do, and is none of those that scores are set against.
        """
        cohort = self._package.cohort
        if cohort is None:
            return direction
        return unit(cohort[np.argsort(cohort @ direction)[-DECOY_VOICES:]].mean(axis=0))

    def score(self, template: Float32, embedding: Float32, others: Float32 | None = None) -> float:
        """How alike template and embedding are, both (D,): NaN if one has no direction.

        ``others`` (n, D) are templates of other people, who are strangers as well. A cosine in
        [-1, 1], or what is left of it for a package with ``closest_speakers`` (``Similarity``).
        """
        return float(self._similarity.scores(template[None], embedding[None], others)[0, 0])

    def threshold(
        self,
        operating_point: str | None = None,
        *,
        candidates: float = 1,
        quality: Quality = USUAL,
        enrolled: int = USUAL_ENROLLED,
    ) -> float:
        """The score from which a voice is accepted as one of so many ``candidates``.

        The template is of ``enrolled`` utterances. The score is what a stranger heard in this
        ``quality`` reaches as rarely as ``operating_point`` says: a name in the model's manifest,
        or ``far-`` and a rate, such as ``far-0.003``. A stranger who is compared with N templates
        has N chances: for each of them the rate is an N-th (union bound).

        A model that does not know how high strangers score has one threshold for every quality;
        if it is calibrated it rises by ln N on the scale of the log-likelihood ratio.
        Raises ``ModelError`` for an unknown operating point, ``PolicyError`` for one that is too
        loose.
        """
        strictness = self.strictness(operating_point)
        return float(
            self.thresholds(strictness, candidates=candidates, quality=quality, enrolled=enrolled)
        )

    def strictness(self, operating_point: str | None = None) -> Strictness:
        """What an operating point asks for; errors as of ``threshold``."""
        name = operating_point or self._default
        rate = self.rate(name)
        if rate > self._loosest:
            raise PolicyError(
                f"a false-accept rate of {rate:g} is looser than the {self._loosest:g} that the "
                "vault accepts",
                "Ask for a stricter one, or accept it with `edge-unlock model accept --far RATE`.",
            )
        if self.knows_rates:
            return Strictness(rate, math.nan)
        return Strictness(rate, self._manifest.operating_point(name).threshold)

    def thresholds(
        self,
        strictness: Strictness,
        *,
        candidates: ArrayLike = 1,
        quality: Quality = USUAL,
        enrolled: ArrayLike = USUAL_ENROLLED,
    ) -> NDArray[np.float64]:
        """Thresholds, () or (n,), as ``threshold`` gives them, of arrays (n,)."""
        chances = np.maximum(1, candidates)
        nontarget = self._manifest.nontarget
        if nontarget is not None:
            rate = strictness.rate / chances
            return self._shift + nontarget.threshold(rate, quality, enrolled)
        calibration = self._manifest.calibration
        if calibration is None:
            return np.broadcast_to(strictness.threshold, chances.shape)
        needed = calibration.llr(strictness.threshold) + np.log(chances)
        return calibration.score(needed, quality)

    def reached(
        self, rate: float, *, quality: Quality = USUAL, enrolled: int = USUAL_ENROLLED
    ) -> float:
        """The score that a stranger reaches with this probability, whatever one may decide by.

        NaN for a model that does not know how high strangers score.
        """
        nontarget = self._manifest.nontarget
        if nontarget is None:
            return math.nan
        return self._shift + float(nontarget.threshold(rate, quality, enrolled))

    def false_accept_rate(
        self,
        score: float,
        *,
        candidates: int = 1,
        quality: Quality = USUAL,
        enrolled: int = USUAL_ENROLLED,
    ) -> float | None:
        """How probably a stranger is as much like one of so many ``candidates``, at most 1.

        None for a model that does not know how high strangers score.
        """
        if not self.knows_rates:
            return None
        return float(
            self.false_accept_rates(
                score, candidates=candidates, quality=quality, enrolled=enrolled
            )
        )

    def false_accept_rates(
        self,
        scores: ArrayLike,
        *,
        candidates: int = 1,
        quality: Quality = USUAL,
        enrolled: ArrayLike = USUAL_ENROLLED,
    ) -> NDArray[np.float64]:
        """The same of scores () or (n,); NaN for a model that does not know."""
        nontarget = self._manifest.nontarget
        if nontarget is None:
            return np.full(np.shape(scores), np.nan)
        rates = nontarget.rate(np.asarray(scores) - self._shift, quality, enrolled)
        return np.minimum(1.0, max(1, candidates) * rates)

    @property
    def knows_rates(self) -> bool:
        """Whether the model knows how high strangers score, and so any rate's threshold."""
        return self._manifest.nontarget is not None

    def rate(self, name: str | None = None) -> float:
        """The false-accept rate that an operating point stands for; ``ModelError`` if none does."""
        wanted = name or self._default or self._manifest.default_operating_point
        if self._manifest.nontarget is None:
            return self._manifest.operating_point(wanted).false_accept_rate
        known = {point.name: point.false_accept_rate for point in self._manifest.operating_points}
        if wanted in known:
            return known[wanted]
        try:
            rate = float(wanted.removeprefix(RATE_PREFIX))
        except ValueError:
            rate = math.nan
        if wanted.startswith(RATE_PREFIX) and LEAST_RATE <= rate <= GREATEST_RATE:
            return rate
        raise ModelError(
            f"the model has no operating point {wanted!r}",
            f"Choose one of: {', '.join(known)}; or a rate of {LEAST_RATE:g} to {GREATEST_RATE:g}.",
        )

    def bayes_threshold(self, prior: float, quality: Quality = USUAL) -> float:
        """The score from which one speaker is likelier than two, if ``prior`` of the pairs are one.

        A model without calibration cannot tell; its lowest operating point stands in.
        """
        calibration = self._manifest.calibration
        if calibration is None:
            return min(point.threshold for point in self._manifest.operating_points)
        return float(calibration.score(math.log((1 - prior) / prior), quality))

    def llr(self, score: float, quality: Quality = USUAL) -> float | None:
        """Natural-log likelihood ratio of the score of a voice that was heard in this ``quality``.

        None for a model without calibration.
        """
        calibration = self._manifest.calibration
        return None if calibration is None else float(calibration.llr(score, quality))

    def none_llr(self, scores: NDArray[np.float64], quality: Quality = USUAL) -> float | None:
        """Natural-log likelihood ratio of nobody's voice against one of those scored (n,).

        Whoever of them it would be is taken to be as likely beforehand as any other: Singer and
        Reynolds, "Analysis of multitarget detection for speaker and language recognition" (2004).
        None for a model without calibration.
        """
        calibration = self._manifest.calibration
        if calibration is None:
            return None
        ratios = calibration.llr(scores, quality)
        ratios = ratios[~np.isnan(ratios)]
        if not len(ratios):
            return math.inf
        highest = float(ratios.max())  # or exp might overflow
        return math.log(len(scores) / float(np.exp(ratios - highest).sum())) - highest


def accepts(score: float, threshold: float) -> bool:
    """Whether the score is enough. False for NaN on either side."""
    return bool(score >= threshold)
