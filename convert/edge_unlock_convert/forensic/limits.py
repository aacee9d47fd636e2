"""Whether a recording is like those that the validation was made on."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.evaluation.listening import Voices
from edge_unlock_convert.forensic.case import Recording

TAILS = (0.01, 0.99)
"""Shares of the population's recordings between which something counts as validated."""


class Measure(NamedTuple):
    """Something that is measured of every recording, with its unit and digits."""

    name: str
    unit: str
    digits: int


MEASURES = {
    "seconds": Measure("speech", "s", 1),
    "snr_db": Measure("signal-to-noise ratio", "dB", 0),
    "bandwidth_hz": Measure("bandwidth", "Hz", 0),
}
"""By their names in ``Voices``."""


class Range(NamedTuple):
    """What was validated of a measure: nearly all of the population lies between."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Float32) -> "Range | None":
        """Of what the population has (n,); None where nothing is known."""
        known = values[np.isfinite(values)]
        return cls(*np.quantile(known, TAILS).tolist()) if len(known) else None

    def holds(self, value: float, measure: Measure) -> bool:
        """Whether a value lies within, as it is shown: no other difference counts."""
        low, shown, high = (round(one, measure.digits) for one in (self.low, value, self.high))
        return low <= shown <= high


def ranges(voices: Voices) -> dict[str, Range | None]:
    """What of each measure was validated."""
    return {name: Range.of(getattr(voices, name)) for name in MEASURES}


def outside(
    recording: Recording,
    row: int,
    voices: Voices,
    validated: dict[str, Range | None],
    population: Sequence[Recording],
) -> Iterator[str]:
    """Why the validation may not hold for a recording, whose measures are a row of ``voices``."""
    for name, measure in MEASURES.items():
        value, allowed = float(getattr(voices, name)[row]), validated[name]
        if allowed is None or not np.isfinite(value):
            yield f"{recording.path}: its {measure.name} could not be measured."
        elif not allowed.holds(value, measure):
            yield (
                f"{recording.path}: its {measure.name} of {value:.{measure.digits}f} "
                f"{measure.unit} lies outside the {span(allowed, measure)} that were validated."
            )
    if voices.refused[row]:
        yield (
            f"{recording.path}: a device would not judge it but ask to say it again: too short, "
            "quiet, noisy or narrow-band."
        )
    if all(one.coding != recording.coding for one in population):
        yield (
            f"{recording.path}: no recording of the population is coded as it is "
            f"({recording.coding}); the channel may differ."
        )


def span(allowed: Range, measure: Measure) -> str:
    """A range in words."""
    return f"{allowed.low:.{measure.digits}f} to {allowed.high:.{measure.digits}f} {measure.unit}"
