"""How alike voices are: the cosine of embeddings, set against how alike other people are."""

import numpy as np

from edge_unlock.features import Float32

LEAST_DEVIATION = 0.01
"""Of cosines to the cohort: a smaller one would blow a small difference up without bound."""


def unit(vectors: Float32) -> Float32:
    """Scale the last axis to L2 norm 1."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Float32 = (vectors / norms).astype(np.float32)
    return scaled


class Similarity:
    """Scores of templates and embeddings, given a ``cohort`` of other speakers (N, D) or None.

    The cohort's mean is removed before the cosine: what all voices share says nothing of who
    speaks. If ``closest`` is not 0, the cosine is then expressed in deviations above what is
    usual between strangers of such voices: from the mean of the cosines of the template to the
    so many cohort speakers most like it, in their deviations, and likewise for the embedding;
    the mean of the two is the score (adaptive symmetric score normalization, AS-norm: Matějka
    et al., "Analysis of score normalization in multilingual speaker recognition", 2017).
    """

    def __init__(self, cohort: Float32 | None, closest: int = 0) -> None:
        self._center: Float32 | float = 0.0 if cohort is None else cohort.mean(axis=0)
        self._closest = closest
        self._cohort: Float32 | None = None
        if closest:
            if cohort is None or len(cohort) < closest:
                raise ValueError(f"the cohort has fewer than {closest} speakers")
            self._cohort = unit(cohort - self._center)

    def scores(self, templates: Float32, embeddings: Float32) -> Float32:
        """Scores (M, N) of templates (M, D) and embeddings (N, D), all of norm 1.

        NaN where one of the two has no direction.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            one, other = unit(templates - self._center), unit(embeddings - self._center)
            cosines: Float32 = one @ other.T
            if self._cohort is None:
                return cosines
            mean, deviation = self._among_strangers(one, self._cohort)
            normalized = (cosines - mean[:, None]) / deviation[:, None]
            mean, deviation = self._among_strangers(other, self._cohort)
            scores: Float32 = (normalized + (cosines - mean) / deviation) / 2
            return scores

    def _among_strangers(self, voices: Float32, cohort: Float32) -> tuple[Float32, Float32]:
        """Mean and deviation, (n,) each, of the greatest cosines of voices (n, D) to the cohort."""
        cosines = voices @ cohort.T
        greatest = np.partition(cosines, -self._closest, axis=1)[:, -self._closest :]
        return greatest.mean(axis=1), np.maximum(greatest.std(axis=1), LEAST_DEVIATION)
