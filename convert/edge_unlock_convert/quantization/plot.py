"""A picture of a comparison: the scores of both networks, and their DET curves."""

import io

import numpy as np
from matplotlib.figure import Figure

from edge_unlock_convert.quantization.compare import PairedTrials
from edge_unlock_convert.scoring import metrics

MAX_POINTS = 4000
LOWEST_RATE = 1e-4


def draw(trials: PairedTrials, threshold: float) -> bytes:
    """A PNG: score against score with the threshold, and the DET curves of both."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    scatter, det = figure.subplots(1, 2)
    same = trials.original.enrolled == trials.original.tested
    generator = np.random.default_rng(0)
    for chosen, name, color in ((~same, "non-target", "tab:orange"), (same, "target", "tab:blue")):
        rows = np.flatnonzero(chosen)
        rows = generator.permutation(rows)[:MAX_POINTS]
        scatter.plot(
            trials.original.scores[rows],
            trials.quantized.scores[rows],
            ".",
            markersize=2,
            color=color,
            label=name,
        )
    scatter.axvline(threshold, color="gray", linewidth=0.8)
    scatter.axhline(threshold, color="gray", linewidth=0.8)
    scatter.set(xlabel="score, float", ylabel="score, quantized", title="The same trials, scored")
    scatter.legend(markerscale=6)
    for one, name, style in (
        (trials.original, "float", "-"),
        (trials.quantized, "quantized", "--"),
    ):
        _, far, frr = metrics.det_curve(*one.split())
        det.plot(np.maximum(far, LOWEST_RATE), np.maximum(frr, LOWEST_RATE), style, label=name)
    det.set(xscale="log", yscale="log", xlabel="false accepts", ylabel="false rejects", title="DET")
    det.grid(visible=True, which="both", linewidth=0.3)
    det.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()
