"""Pictures of an evaluation: DET and Tippett plots, histograms of scores, the groups."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image  # comes with matplotlib, which writes PNG by it
from scipy.special import ndtri

from edge_unlock_convert.evaluation.breakdown import Group
from edge_unlock_convert.evaluation.tally import Scored
from edge_unlock_convert.scoring.metrics import Floats, det_curve

INK = "#010203"
"""Text and axes. In a page they take the colour of its text, light or dark."""
COLORS = ("#2f7fd0", "#e07b00", "#2a9d6f", "#b05cc6", "#c0504d", "#8a8a8a")
"""Seen on white and on black, and told apart by the colour-blind."""
TARGET, NONTARGET = COLORS[:2]
DET_TICKS = (1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5)
LOWEST_RATE, HIGHEST_RATE = 5e-5, 0.6
MOST_POINTS = 2000
BINS = 80
FEW_COLORS = 128
STYLE: Any = {
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": "#8a8a8a",
    "grid.alpha": 0.35,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "edge-unlock",  # the same picture is the same bytes
}


class Curve(NamedTuple):
    """Scored trials with the name that a legend has for them."""

    name: str
    scored: Scored


def det(curves: Sequence[Curve]) -> Figure:
    """False rejects against false accepts, on axes on which normal scores make a line."""
    figure, axes = blank()
    _draw_det(axes, curves)
    axes.legend(loc="upper right", frameon=False, labelcolor=INK)
    return figure


def det_panels(panels: Mapping[str, Sequence[Curve]]) -> Figure:
    """DET plots of the same encoders side by side, on the speech that each is named after."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.3 * len(panels), 3.9), layout="constrained")
        row = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, curves) in zip(row, panels.items(), strict=True):
            _draw_det(axes, curves)
            axes.set_title(title)
            axes.spines[["top", "right"]].set_visible(False)
        handles, names = row[0].get_legend_handles_labels()
        figure.legend(
            handles, names, loc="outside lower center", ncols=3, frameon=False, labelcolor=INK
        )
    return figure


def _draw_det(axes: Axes, curves: Sequence[Curve]) -> None:
    for (name, scored), color in zip(curves, _colors(len(curves)), strict=True):
        _, far, frr = det_curve(*scored.trials.split())
        rows = _thinned(far, frr)
        axes.plot(
            *(ndtri(np.clip(one[rows], 1e-6, 1 - 1e-6)) for one in (far, frr)),
            color=color,
            label=name,
        )
    places = ndtri(DET_TICKS)
    labels = [f"{100 * rate:g}" for rate in DET_TICKS]
    limits = ndtri((LOWEST_RATE, HIGHEST_RATE))
    axes.set(xlim=limits, ylim=limits, xlabel="false accepts, %", ylabel="false rejects, %")
    axes.set_xticks(places, labels)
    axes.set_yticks(places, labels)
    axes.plot(limits, limits, color="#8a8a8a", linewidth=0.6, linestyle=":")


def tippett(scored: Scored) -> Figure:
    """The share of trials of either kind whose evidence is at least so strong."""
    figure, axes = blank()
    for (scores, name), color in zip(_sides(scored), (TARGET, NONTARGET), strict=True):
        ordered = np.sort(scores)
        share = 1 - np.arange(len(ordered)) / len(ordered)
        rows = np.unique(np.linspace(0, len(ordered) - 1, MOST_POINTS).astype(int))
        axes.plot(ordered[rows], 100 * share[rows], color=color, label=name)
    axes.set(xlabel=_evidence(scored), ylabel="share of trials that reach it, %", ylim=(0, 100))
    axes.axvline(0, color="#8a8a8a", linewidth=0.8)
    axes.legend(loc="upper right", frameon=False, labelcolor=INK)
    return figure


def histogram(scored: Scored) -> Figure:
    """How the scores of either kind are spread."""
    figure, axes = blank()
    sides = list(_sides(scored))
    edges = np.histogram_bin_edges(np.concatenate([scores for scores, _ in sides]), BINS)
    for (scores, name), color in zip(sides, (TARGET, NONTARGET), strict=True):
        density = np.histogram(scores, edges, density=True)[0]
        axes.stairs(density, edges, fill=True, color=color, alpha=0.35)
        axes.stairs(density, edges, color=color, label=name)
    axes.set(xlabel=_evidence(scored), ylabel="density", yticks=[])
    axes.legend(loc="upper left", frameon=False, labelcolor=INK)
    return figure


def by_group(groups: Sequence[Group]) -> Figure:
    """The EER of every group with its interval, in the order of the table."""
    figure, axes = blank(height=1.2 + 0.26 * len(groups))
    kinds = list(dict.fromkeys(one.by for one in groups))
    for place, one in enumerate(groups):
        eer = one.figures.figures["eer"]
        color = COLORS[kinds.index(one.by) % len(COLORS)]
        axes.plot([100 * eer.low, 100 * eer.high], [place, place], color=color, linewidth=2)
        axes.plot(100 * eer.value, place, "o", color=color, markersize=5)
    axes.set_yticks(range(len(groups)), [f"{one.by}: {one.name}" for one in groups])
    axes.set(xlabel="EER, % (95%)", xlim=(0, None))
    axes.invert_yaxis()
    return figure


def svg(figure: Figure) -> str:
    """An ``<svg>`` element that takes its ink from the page."""
    text = _saved(figure, "svg", transparent=True, metadata={"Date": None}).decode()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    return re.sub(r' id="[a-z]+[a-z.]*_\d+"', "", text)  # several pictures share a page


def png(figure: Figure) -> bytes:
    """A picture on white."""
    return _saved(figure, "png", dpi=120, facecolor="white", metadata={"Software": None})


def small_png(figure: Figure) -> bytes:
    """The same in few colours, a third of the size: for one that lies in a repository."""
    written = io.BytesIO()
    with Image.open(io.BytesIO(png(figure))) as picture:
        few = picture.convert("RGB").quantize(FEW_COLORS, dither=Image.Dither.NONE)
        few.save(written, "png", optimize=True)
    return written.getvalue()


def _saved(figure: Figure, kind: str, **options: Any) -> bytes:
    written = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(written, format=kind, **options)
    return written.getvalue()


def blank(height: float = 5.0) -> tuple[Figure, Axes]:
    """A picture that has no curves yet."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, height), layout="constrained")
        axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _colors(count: int) -> list[str]:
    return [COLORS[number % len(COLORS)] for number in range(count)]


def _thinned(far: Floats, frr: Floats) -> list[int]:
    """Points enough of a curve: at equal steps of either rate, on a logarithmic scale."""
    rows = {0, len(far) - 1}
    rates = np.geomspace(LOWEST_RATE / 2, 1, MOST_POINTS // 2)
    rows.update(np.searchsorted(frr, rates).tolist())
    rows.update((len(far) - np.searchsorted(far[::-1], rates, side="right")).tolist())
    return sorted(row for row in rows if row < len(far))


def _evidence(scored: Scored) -> str:
    return "score" if scored.llr is None else "log10 likelihood ratio"


def _sides(scored: Scored) -> list[tuple[Floats, str]]:
    scale = 1.0 if scored.llr is None else np.log(10)
    target, nontarget = scored.trials.split()
    return [(target / scale, "same speaker"), (nontarget / scale, "different speakers")]
