"""How well a voice matched, in words: what may be told of a score to whoever reads the output.

Under a service it goes into the journal, which more people read than the vault. Who sees scores can
climb: he keeps each change of his voice, or of a recording, that raises the score a little. A band
is so wide that he seldom sees a change, and a rejected voice has two.
"""

from enum import StrEnum
from typing import Final

WIDTH: Final = 10.0
"""How many times rarer, or more common, strangers as alike as this are than at the threshold."""

SCORE_WIDTH: Final = 0.1
"""The distance to the threshold that stands in for it where rates are not known."""


class Band(StrEnum):
    """How well a voice matched."""

    CLEAR = "clear match"
    CLOSE = "match"
    NEAR = "near miss"
    NONE = "no match"

    @classmethod
    def of(
        cls,
        score: float,
        threshold: float,
        *,
        accepted: bool,
        far: float | None = None,
        rate: float | None = None,
    ) -> "Band":
        """Return the band of a ``score`` that was compared with ``threshold``.

        Strangers reach it at the rate ``far``, and the threshold at ``rate``; None: unknown.
        """
        if far is None or rate is None:
            clear, near = score >= threshold + SCORE_WIDTH, score >= threshold - SCORE_WIDTH
        else:
            clear, near = far * WIDTH <= rate, far <= rate * WIDTH
        if accepted:
            return cls.CLEAR if clear else cls.CLOSE
        return cls.NEAR if near else cls.NONE
