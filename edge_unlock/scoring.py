"""Whether two voices are alike enough: scores, thresholds, likelihood ratios."""

import math

from edge_unlock.calibration import USUAL, Quality
from edge_unlock.features import Float32
from edge_unlock.model import Manifest, ModelPackage
from edge_unlock.similarity import unit


class Scorer:
    """Scores embeddings against templates with what a model package carries for it."""

    def __init__(self, package: ModelPackage) -> None:
        self._manifest: Manifest = package.manifest
        self._similarity = package.similarity

    def template(self, embeddings: Float32) -> Float32:
        """The template of a person: float32 (D,), norm 1, from embeddings (n, D) of norm 1."""
        mean: Float32 = embeddings.mean(axis=0)
        return unit(mean)

    def score(self, template: Float32, embedding: Float32) -> float:
        """How alike template and embedding are, both (D,): NaN if one has no direction.

        A cosine in [-1, 1], or what is left of it for a package with ``closest_speakers``
        (``Similarity``).
        """
        return float(self._similarity.scores(template[None], embedding[None])[0, 0])

    def threshold(
        self,
        operating_point: str | None = None,
        *,
        candidates: int = 1,
        quality: Quality = USUAL,
    ) -> float:
        """The score from which a voice is accepted as one of so many ``candidates``.

        ``quality`` says what the voice was heard in: if the model is calibrated, the threshold
        stands for the same evidence whatever that is.

        A stranger who is compared with N templates has N chances. With a calibrated model
        the threshold rises by ln N on the scale of the log-likelihood ratio, which keeps the
        false-accept rate of the operating point whatever N is (union bound).
        Raises ``ModelError`` for an unknown operating point.
        """
        threshold = self._manifest.operating_point(operating_point).threshold
        calibration = self._manifest.calibration
        if calibration is None:
            return threshold
        needed = calibration.llr(threshold) + math.log(max(1, candidates))
        return float(calibration.score(needed, quality))

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


def accepts(score: float, threshold: float) -> bool:
    """Whether the score is enough. False for NaN on either side."""
    return bool(score >= threshold)
