"""The figures of scored trials, each with the interval that other speakers might have given."""

from collections.abc import Mapping

import msgspec
import numpy as np

from edge_unlock_convert.evaluation.tally import Scored, Tally

INTERVAL = (0.025, 0.975)
RULE_OF_THREE = 3.0
"""Where none of n trials went wrong, the rate is below 3 / n with 95% confidence (Hanley and
Lippman-Hand, "If nothing goes wrong, is everything all right?", 1983)."""


class Measured(msgspec.Struct, frozen=True):
    """A figure, the ends of its 95% interval, and what is to be known of it."""

    value: float
    low: float
    high: float
    note: str = ""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """How many speakers and trials there were, and the figures by name. Rates lie in [0, 1]."""

    speakers: int
    targets: int
    nontargets: int
    figures: dict[str, Measured]


def measure(scored: Scored, draws: int, *, brief: bool = False) -> Figures:
    """All figures, or in ``brief`` the EER and the rates of what is accepted.

    Raises ``ValueError`` where trials of a kind are absent or not finite.
    """
    tally = Tally(scored, brief=brief)
    levels = tally.levels
    generator = np.random.default_rng(0)
    found = tally.figures(levels.counted()) or {}
    drawn = (tally.figures(levels.drawn(generator)) for _ in range(draws))
    others = [list(one.values()) for one in drawn if one is not None]
    targets, nontargets = map(len, tally.every)
    counts = {
        "eer": min(targets, nontargets),
        "frr_": targets,
        "frr ": len(tally.judged.target),
        "far ": len(tally.judged.nontarget),
    }
    ends = np.quantile(others or [list(found.values())], INTERVAL, axis=0).T.tolist()
    return Figures(
        speakers=levels.speakers,
        targets=targets,
        nontargets=nontargets,
        figures={
            name: _measured(name, (value, low, high), counts, nontargets)
            for (name, value), (low, high) in zip(found.items(), ends, strict=True)
        },
    )


def _measured(
    name: str, figure: tuple[float, float, float], counts: Mapping[str, int], nontargets: int
) -> Measured:
    value, low, high = figure
    note = ""
    _, _, asked = name.partition("frr_at_far_")
    if asked and float(asked) * nontargets < 1:
        note = "too few non-target trials to tell this rate from none"
    trials = next((count for start, count in counts.items() if name.startswith(start)), 0)
    if value == 0 and trials:
        high = max(high, min(1.0, RULE_OF_THREE / trials))
        note = note or f"no error in {trials} trials: below 3/{trials}, were they independent"
    return Measured(value, low, high, note)
