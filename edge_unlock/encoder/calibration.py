"""From scores to evidence: log-likelihood ratios that know how well a voice was heard."""

from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

CALIBRATED_SECONDS = (0.6, 4.0)
"""Durations of speech that a calibration is fitted on."""

Evidence = Annotated[float, msgspec.Meta(ge=-1000, le=1000)]
"""Natural-log likelihood ratios, and what moves them: finite, and no more than anybody fits."""
Magnitude = Annotated[float, msgspec.Meta(ge=1e-6, le=1e6)]


class Quality(NamedTuple):
    """How well the compared voice was heard: ``seconds`` of speech, ``magnitude`` of its embedding.

    ``Encoder.magnitude`` gives the second; None where it is not known. Either may be an array
    (n,), for n scores.
    """

    seconds: ArrayLike = 1.0
    magnitude: ArrayLike | None = None

    def only(self, rows: NDArray[np.int_]) -> "Quality":
        """Those of these numbers, of arrays."""
        magnitude = None if self.magnitude is None else np.asarray(self.magnitude)[rows]
        return Quality(np.asarray(self.seconds)[rows], magnitude)

    def measures(self, magnitudes: tuple[float, float]) -> NDArray[np.float64]:
        """Logarithms of the seconds and of the magnitude, over the middle of ``magnitudes``: (2,)
        or (n, 2).

        Each is held within what calibrations are fitted on: ``CALIBRATED_SECONDS``, ``magnitudes``.
        """
        least, greatest = magnitudes
        middle = np.sqrt(least * greatest)
        seconds = np.clip(self.seconds, *CALIBRATED_SECONDS)
        magnitude = middle if self.magnitude is None else np.clip(self.magnitude, least, greatest)
        pair = np.broadcast_arrays(np.log(seconds), np.log(magnitude / middle))
        return np.stack(pair, axis=-1)


USUAL = Quality()
"""What thresholds are said for."""


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Score to natural-log likelihood ratio: ``slope * score + offset``, for one second of speech
    whose embedding has a usual magnitude.

    Each natural logarithm of the seconds adds ``seconds_weight``, each of the magnitude, over the
    middle of the ``magnitudes`` (least, greatest) that it was fitted on, ``magnitude_weight``.
    These are quality measure functions (Mandasari et al., "Quality measure functions for
    calibration of speaker recognition systems in various duration conditions", 2013; Thienpondt et
    al., "The IDLab VoxSRC-20 submission", 2021, has magnitudes). What lies beyond counts as the
    nearest within: no sound, however strange, moves the evidence further than speech does.
    """

    slope: Annotated[float, msgspec.Meta(ge=0.01, le=10_000)]
    offset: Evidence
    seconds_weight: Evidence = 0.0
    magnitude_weight: Evidence = 0.0
    magnitudes: tuple[Magnitude, Magnitude] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not self.slope > 0:
            raise ValueError("a higher score must mean more")
        least, greatest = self.magnitudes
        if not 0 < least <= greatest:
            raise ValueError("magnitudes are not an ascending pair above 0")

    def llr(self, score: ArrayLike, quality: Quality = USUAL) -> NDArray[np.float64]:
        """Natural-log likelihood ratios, () or (n,), of scores."""
        return self.slope * np.asarray(score) + self._rest(quality)

    def score(self, llr: ArrayLike, quality: Quality = USUAL) -> NDArray[np.float64]:
        """The scores, () or (n,), that have these natural-log likelihood ratios."""
        return (np.asarray(llr) - self._rest(quality)) / self.slope

    def _rest(self, quality: Quality) -> NDArray[np.float64]:
        """What the quality and the offset add to the evidence of a score."""
        weights = np.array((self.seconds_weight, self.magnitude_weight))
        return np.asarray(self.offset + quality.measures(self.magnitudes) @ weights)
