"""Pictures of a validation: Tippett and ECE plots."""

import numpy as np
from matplotlib.figure import Figure

from edge_unlock_convert.evaluation import plots
from edge_unlock_convert.evaluation.tally import Scored
from edge_unlock_convert.forensic.bounds import Bounds
from edge_unlock_convert.forensic.entropy import cross_entropy, ideal
from edge_unlock_convert.scoring.metrics import Floats

GREY = "#8a8a8a"
PRIOR_LOG10_ODDS = np.linspace(-3, 3, 121)


def tippett(scored: Scored, bounds: Bounds, case: list[float]) -> Figure:
    """The validated evidence, its bounds (dotted) and that of the case (triangles)."""
    figure = plots.tippett(scored)
    (axes,) = figure.axes
    for end in bounds:
        axes.axvline(end / np.log(10), color=GREY, linestyle=":", linewidth=1.2)
    axes.plot(
        np.array(case) / np.log(10),
        np.full(len(case), 2.0),
        "^",
        color=plots.COLORS[2],
        markersize=8,
    )
    return figure


def entropy(scored: Scored) -> Figure:
    """The ECE of the evidence, of the best calibration of it, and of none."""
    figure, axes = plots.blank()
    target, nontarget = scored.trials.split()
    odds: Floats = PRIOR_LOG10_ODDS * np.log(10)
    curves = (
        ("as validated", (target, nontarget), plots.COLORS[0], "-"),
        ("after the best calibration", ideal(target, nontarget), plots.COLORS[1], "--"),
        ("without evidence", (np.zeros(1), np.zeros(1)), GREY, ":"),
    )
    for name, trials, color, style in curves:
        axes.plot(PRIOR_LOG10_ODDS, cross_entropy(*trials, odds), style, color=color, label=name)
    axes.set(xlabel="log10 prior odds", ylabel="empirical cross-entropy, bits", ylim=(0, None))
    axes.legend(loc="upper right", frameon=False, labelcolor=plots.INK)
    return figure
