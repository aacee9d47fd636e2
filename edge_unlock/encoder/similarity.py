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
        self.weight = weight
        self.cohort: Float32 | None = None
        """Strangers that scores are set against, ``centered``; None: against none."""
        if closest:
            if cohort is None or len(cohort) < closest:
                raise ValueError(f"the cohort has fewer than {closest} speakers")
            every = cohort if neighbours is None else np.concatenate((cohort, neighbours))
            self.cohort = self.centered(every)

    def scores(
        self, templates: Float32, embeddings: Float32, others: Float32 | None = None
    ) -> Float32:
        """Scores (M, N) of templates (M, D) and embeddings (N, D), all of norm 1.

        ``others`` (P, D) are strangers as well, for these scores only. NaN where one of
        the two has no direction.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            one, other = self.centered(templates), self.centered(embeddings)
            cosines: Float32 = one @ other.T
            if self.cohort is None:
                return cosines
            cohort = self.cohort
            if others is not None:
                cohort = np.concatenate((cohort, self.centered(others)))
            strangers = [self.nearest(voices @ cohort.T) for voices in (one, other)]
            scores: Float32 = cosines - self.weight / 2 * np.add.outer(*strangers)
            return scores

    def centered(self, voices: Float32) -> Float32:
        """Voices (n, D) without what all voices share, of norm 1."""
        return unit(voices - self._center)

    def nearest(self, cosines: Float32) -> Float32:
        """The mean (n,) of the greatest of the cosines (n, N) of each voice to strangers."""
        greatest = np.partition(cosines, -self._closest, axis=1)[:, -self._closest :]
        mean: Float32 = greatest.mean(axis=1)
        return mean
