"""Empirical cross-entropy: what a court that knows prior odds still does not know.

D. Ramos and J. Gonzalez-Rodriguez, "Reliable support: measuring calibration of likelihood
ratios" (Forensic Science International, 2013). At prior odds of 1 it is the Cllr.
"""

import numpy as np
from scipy.optimize import isotonic_regression

from edge_unlock_convert.scoring.metrics import Floats


def cross_entropy(target: Floats, nontarget: Floats, log_odds: Floats) -> Floats:
    """Bits (k,) that remain at natural-log prior odds (k,), of natural-log likelihood ratios."""
    prior = 1 / (1 + np.exp(-log_odds))
    missed = np.array([np.logaddexp(0, -(target + one)).mean() for one in log_odds])
    misled = np.array([np.logaddexp(0, nontarget + one).mean() for one in log_odds])
    return np.asarray((prior * missed + (1 - prior) * misled) / np.log(2))


def ideal(target: Floats, nontarget: Floats) -> tuple[Floats, Floats]:
    """The same trials after the best monotone calibration: pool adjacent violators."""
    every = np.concatenate((target, nontarget))
    weights = np.repeat((0.5 / len(target), 0.5 / len(nontarget)), (len(target), len(nontarget)))
    is_target = np.repeat((1.0, 0.0), (len(target), len(nontarget)))
    # trials of the same score are one: else their order would decide
    _, place = np.unique(every, return_inverse=True)
    mass = np.bincount(place, weights)
    share = np.bincount(place, weights * is_target) / mass
    posterior = np.clip(isotonic_regression(share, weights=mass).x, 0, 1)
    with np.errstate(divide="ignore"):
        llr = np.asarray((np.log(posterior) - np.log1p(-posterior))[place])
    return llr[: len(target)], llr[len(target) :]
