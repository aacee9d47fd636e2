"""Likelihood ratios in words: the verbal scale of ENFSI.

The bands and words are those of the European Network of Forensic Science Institutes' "Guideline
for Evaluative Reporting in Forensic Science" (2015). Its first band starts at 2; what lies below
is called no support.
"""

from typing import NamedTuple

import numpy as np

SAME = "the questioned and the known recordings are of the same speaker"
DIFFERENT = (
    "the questioned recordings are of some other speaker of the relevant population than the "
    "known ones"
)


class Band(NamedTuple):
    """From which likelihood ratio on, and what it is then called."""

    least: float
    words: str


BANDS = (
    Band(1e6, "extremely strong"),
    Band(1e4, "very strong"),
    Band(1e3, "strong"),
    Band(1e2, "moderately strong"),
    Band(1e1, "moderate"),
    Band(2, "weak"),
)


def support(llr: float) -> str:
    """What a natural-log likelihood ratio supports, and how strongly."""
    strength = next((band.words for band in BANDS if abs(llr) >= np.log(band.least)), None)
    if strength is None:
        return "no support for either proposition over the other"
    return f"{strength} support for {'the same speaker' if llr > 0 else 'different speakers'}"


def ratio(llr: float) -> str:
    """A likelihood ratio as it is said: two digits of it, or of its inverse."""
    return f"{_rounded(llr)}" if llr >= 0 else f"1/{_rounded(-llr)}"


def _rounded(llr: float) -> str:
    value = float(f"{np.exp(min(llr, 100.0)):.2g}")
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"
