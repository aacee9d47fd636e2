"""How alike voices are: the cosine of embeddings, set against how alike other people are."""

import numpy as np

from edge_unlock.encoder.features import Float32


def unit(vectors: Float32) -> Float32:
    """Scale the last axis to L2 norm 1."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Float32 = (vectors / norms).astype(np.float32)
    return scaled


class Similarity:
    """Scores of templates and embeddings, given a ``cohort`` of other speakers (N, D) or None.

    The cohort's mean is removed before the cosine: what all voices share says nothing of who
    speaks. If ``closest`` is not 0, the score is that cosine less ``weight`` times how alike the
    nearest strangers are: the mean cosine of the template to the so many cohort speakers most
    like it, and that of the embedding, averaged. A voice of a common kind has to be more like
    its owner's than a rare one. This is adaptive symmetric score normalization (Matějka et al.,
    "Analysis of score normalization in multilingual speaker recognition", 2017) in part and
    without its division by a deviation, which makes scores of voices that no cohort resembles
    too large.

    ``neighbours`` (M, D) join the cohort as strangers, but do not move its mean.
    """

    def __init__(
        self,
        cohort: Float32 | None,
        closest: int = 0,
        weight: float = 1.0,
        neighbours: Float32 | None = None,
    ) -> None:
        self._center: Float32 | float = 0.0 if cohort is None else cohort.mean(axis=0)
        self._closest = closest
        self._weight = weight
        self._cohort: Float32 | None = None
        if closest:
            if cohort is None or len(cohort) < closest:
                raise ValueError(f"the cohort has fewer than {closest} speakers")
            every = cohort if neighbours is None else np.concatenate((cohort, neighbours))
            self._cohort = unit(every - self._center)

    def scores(
        self, templates: Float32, embeddings: Float32, others: Float32 | None = None
    ) -> Float32:
        """Scores (M, N) of templates (M, D) and embeddings (N, D), all of norm 1.

        ``others`` (P, D) are strangers as well, for these scores only. NaN where one of
        the two has no direction.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            one, other = unit(templates - self._center), unit(embeddings - self._center)
            cosines: Float32 = one @ other.T
            if self._cohort is None:
                return cosines
            cohort = self._cohort
            if others is not None:
                cohort = np.concatenate((cohort, unit(others - self._center)))
            strangers = [self._nearest(voices, cohort) for voices in (one, other)]
            scores: Float32 = cosines - self._weight / 2 * np.add.outer(*strangers)
            return scores

    def _nearest(self, voices: Float32, cohort: Float32) -> Float32:
        """The mean (n,) of the greatest cosines of voices (n, D) to the cohort."""
        greatest = np.partition(voices @ cohort.T, -self._closest, axis=1)[:, -self._closest :]
        mean: Float32 = greatest.mean(axis=1)
        return mean
