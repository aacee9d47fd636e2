"""The figures of scored trials, each with the interval that other speakers might have given."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_unlock_convert.scoring.levels import Levels, det_curve, min_cllr
from edge_unlock_convert.scoring.metrics import Floats, Trials

PRIORS = (0.01, 0.001)
"""Of a target, in the detection costs of NIST's and VoxSRC's evaluations."""
FALSE_ACCEPT_RATES = (1e-2, 1e-3, 1e-4)
INTERVAL = (0.025, 0.975)
RULE_OF_THREE = 3.0
"""Where none of n trials went wrong, the rate is below 3 / n with 95% confidence (Hanley and
Lippman-Hand, "If nothing goes wrong, is everything all right?", 1983)."""
Bools = NDArray[np.bool_]


class Measured(msgspec.Struct, frozen=True):
    """A figure, the ends of its 95% interval, and what is to be known of it."""

    value: float
    low: float
    high: float
    note: str = ""


class Scored(NamedTuple):
    """Scored trials of one encoder, n of them.

    ``llr`` (n,) are natural-log likelihood ratios, None where nobody calibrated the scores;
    ``accepted`` says by operating point which trials (n,) the device would accept, of those that
    are ``judged`` (n,): None for all. Of the others it would ask to say it again.
    """

    trials: Trials
    llr: Floats | None = None
    accepted: Mapping[str, Bools] = {}
    judged: Bools | None = None

    def only(self, rows: Bools) -> "Scored":
        """The chosen trials (n,)."""
        return Scored(
            self.trials.only(rows),
            None if self.llr is None else self.llr[rows],
            {name: one[rows] for name, one in self.accepted.items()},
            None if self.judged is None else self.judged[rows],
        )

    @property
    def decided(self) -> Bools:
        """The trials (n,) that the rates of what is accepted are counted on."""
        return np.ones(len(self.trials.scores), bool) if self.judged is None else self.judged


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
    levels = Levels(scored.trials)
    is_target, decided = scored.trials.is_target, scored.decided
    if not ((is_target & decided).any() and (~is_target & decided).any()):
        scored, decided = scored._replace(accepted={}, judged=None), np.ones_like(decided)
    figures = _brief if brief else _figures
    generator = np.random.default_rng(0)
    found = dict(figures(levels, scored, levels.counted()))
    others = []
    for _ in range(draws):
        drawn = levels.drawn(generator)
        if drawn[is_target & decided].any() and drawn[~is_target & decided].any():
            others.append([value for _, value in figures(levels, scored, drawn)])
    targets, nontargets = int(is_target.sum()), int((~is_target).sum())
    counts = {
        "eer": min(targets, nontargets),
        "frr_": targets,
        "frr ": int((is_target & decided).sum()),
        "far ": int((~is_target & decided).sum()),
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


def _figures(levels: Levels, scored: Scored, times: Floats) -> Iterator[tuple[str, float]]:
    """The figures where every trial counts so many ``times`` (n,)."""
    weights = levels.weights(times)
    curve = det_curve(levels.thresholds, weights)
    yield "eer", curve.eer()
    for prior in PRIORS:
        yield f"min_dcf_{prior:g}", curve.min_dcf(prior)
    for far in FALSE_ACCEPT_RATES:
        yield f"frr_at_far_{far:g}", curve.frr_at(far)
    yield "min_cllr", min_cllr(weights)
    is_target = scored.trials.is_target
    target, nontarget = _shares(is_target, times)
    if scored.llr is not None:
        signed = np.where(is_target, -scored.llr, scored.llr)
        bits = np.logaddexp(0, signed) / np.log(2)
        yield "cllr", float((target + nontarget) @ bits / 2)
        for prior in PRIORS:
            accepted = scored.llr >= np.log((1 - prior) / prior)
            missed, let_in = float(target @ ~accepted), float(nontarget @ accepted)
            yield f"act_dcf_{prior:g}", (prior * missed + (1 - prior) * let_in) / prior
    yield from _accepted(scored, times)


def _brief(levels: Levels, scored: Scored, times: Floats) -> Iterator[tuple[str, float]]:
    """The figures that compare groups."""
    yield "eer", det_curve(levels.thresholds, levels.weights(times)).eer()
    yield from _accepted(scored, times)


def _shares(is_target: Bools, times: Floats) -> tuple[Floats, Floats]:
    """The weights (n,) of target and of non-target trials, which sum to 1."""
    target, nontarget = (times * side / times[side].sum() for side in (is_target, ~is_target))
    return target, nontarget


def _accepted(scored: Scored, times: Floats) -> Iterator[tuple[str, float]]:
    target, nontarget = _shares(scored.trials.is_target, times * scored.decided)
    for name, accepted in scored.accepted.items():
        yield f"far {name}", float(nontarget @ accepted)
        yield f"frr {name}", float(target @ ~accepted)


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
