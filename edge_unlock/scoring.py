"""How alike two voices are: a number, and whether it is enough."""

import math

import numpy as np

from edge_unlock.features import Float32
from edge_unlock.model import Manifest, ModelPackage


def unit(vectors: Float32) -> Float32:
    """Scale the last axis to L2 norm 1."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Float32 = (vectors / norms).astype(np.float32)
    return scaled


class Scorer:
    """Scores embeddings against templates with what a model package carries for it.

    The mean embedding of the package's cohort (other speakers) is removed before the cosine:
    what all voices share says nothing of who speaks.
    """

    def __init__(self, package: ModelPackage) -> None:
        size = package.manifest.encoder.embedding_size
        self._manifest: Manifest = package.manifest
        self._center = (
            np.zeros(size, np.float32) if package.cohort is None else package.cohort.mean(axis=0)
        )

    def template(self, embeddings: Float32) -> Float32:
        """The template of a person: float32 (D,), norm 1, from embeddings (n, D) of norm 1."""
        mean: Float32 = embeddings.mean(axis=0)
        return unit(mean)

    def score(self, template: Float32, embedding: Float32) -> float:
        """Cosine of template and embedding, both (D,): in [-1, 1], NaN if one has no direction."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(unit(template - self._center) @ unit(embedding - self._center))

    def threshold(
        self, operating_point: str | None = None, *, candidates: int = 1, seconds: float = 1.0
    ) -> float:
        """The score from which a voice is accepted as one of so many ``candidates``.

        ``seconds`` of speech were judged: of less, a higher score is asked, if the model's
        calibration knows of durations.

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
        return calibration.score(needed, seconds)

    def bayes_threshold(self, prior: float, seconds: float = 1.0) -> float:
        """The score from which one speaker is likelier than two, if ``prior`` of the pairs are one.

        A model without calibration cannot tell; its lowest operating point stands in.
        """
        calibration = self._manifest.calibration
        if calibration is None:
            return min(point.threshold for point in self._manifest.operating_points)
        return calibration.score(math.log((1 - prior) / prior), seconds)

    def llr(self, score: float, seconds: float = 1.0) -> float | None:
        """Natural-log likelihood ratio of a score that came from ``seconds`` of speech.

        None for a model without calibration.
        """
        calibration = self._manifest.calibration
        return None if calibration is None else calibration.llr(score, seconds)


def accepts(score: float, threshold: float) -> bool:
    """Whether the score is enough. False for NaN on either side."""
    return bool(score >= threshold)
