"""Counts the errors of scored trials, over and over, as often as a draw of speakers says."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_unlock_convert.scoring.levels import Levels, det_curve, min_cllr
from edge_unlock_convert.scoring.metrics import Floats, Trials

PRIORS = (0.01, 0.001)
"""Of a target, in the detection costs of NIST's and VoxSRC's evaluations."""
FALSE_ACCEPT_RATES = (1e-2, 1e-3, 1e-4)
Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]


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


class Sides(NamedTuple):
    """Target and non-target trials, by number."""

    target: Rows
    nontarget: Rows

    @classmethod
    def of(cls, is_target: Bools, chosen: Bools | None = None) -> "Sides":
        """Of all trials (n,), or of the chosen ones."""
        every = np.ones_like(is_target) if chosen is None else chosen
        return cls(np.flatnonzero(is_target & every), np.flatnonzero(~is_target & every))

    @property
    def are_there(self) -> bool:
        """Whether there are trials of both kinds."""
        return bool(len(self.target) and len(self.nontarget))

    def sums(self, times: Floats) -> tuple[float, float]:
        """How many there are where every trial (n,) counts so many times."""
        return float(times[self.target].sum()), float(times[self.nontarget].sum())


class Tally:
    """The figures of scored trials. ``brief``: the EER and the rates of what is accepted.

    Raises ``ValueError`` where trials of a kind are absent or not finite.
    """

    def __init__(self, scored: Scored, *, brief: bool = False) -> None:
        self.levels = Levels(scored.trials)
        self._brief = brief
        is_target = scored.trials.is_target
        self.every = Sides.of(is_target)
        judged = self.every if scored.judged is None else Sides.of(is_target, scored.judged)
        self.judged = judged if judged.are_there else self.every
        self._bits: tuple[Floats, Floats] | None = None
        self._costs: dict[float, Sides] = {}
        if scored.llr is not None and not brief:
            llr = scored.llr
            self._bits = (
                np.logaddexp(0, -llr[self.every.target]) / np.log(2),
                np.logaddexp(0, llr[self.every.nontarget]) / np.log(2),
            )
            thresholds = {prior: np.log((1 - prior) / prior) for prior in PRIORS}
            self._costs = {
                prior: _errors(is_target, llr >= needed) for prior, needed in thresholds.items()
            }
        accepted = scored.accepted if judged.are_there else {}
        self._decisions = {
            name: _errors(is_target, one, scored.judged) for name, one in accepted.items()
        }

    def figures(self, times: Floats) -> dict[str, float] | None:
        """By name, where every trial (n,) counts so many times; None where a kind is absent."""
        if not all(self.judged.sums(times)):
            return None
        weights = self.levels.weights(times)
        curve = det_curve(self.levels.thresholds, weights)
        found = {"eer": curve.eer()}
        if not self._brief:
            found |= {f"min_dcf_{prior:g}": curve.min_dcf(prior) for prior in PRIORS}
            found |= {f"frr_at_far_{far:g}": curve.frr_at(far) for far in FALSE_ACCEPT_RATES}
            found["min_cllr"] = min_cllr(weights)
        return found | dict(self._calibrated(times)) | dict(self._decided(times))

    def _calibrated(self, times: Floats) -> Iterator[tuple[str, float]]:
        targets, nontargets = self.every.sums(times)
        if self._bits is not None:
            one, other = self._bits
            lost = times[self.every.target] @ one / targets
            lost += times[self.every.nontarget] @ other / nontargets
            yield "cllr", float(lost / 2)
        for prior, errors in self._costs.items():
            missed, let_in = errors.sums(times)
            cost = prior * missed / targets + (1 - prior) * let_in / nontargets
            yield f"act_dcf_{prior:g}", cost / prior

    def _decided(self, times: Floats) -> Iterator[tuple[str, float]]:
        targets, nontargets = self.judged.sums(times)
        for name, errors in self._decisions.items():
            missed, let_in = errors.sums(times)
            yield f"far {name}", let_in / nontargets
            yield f"frr {name}", missed / targets


def _errors(is_target: Bools, accepted: Bools, judged: Bools | None = None) -> Sides:
    """The trials that were decided wrongly."""
    wrong = is_target != accepted
    return Sides.of(is_target, wrong if judged is None else wrong & judged)
