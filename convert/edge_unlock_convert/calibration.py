"""Network inputs that show the converter the range of every activation."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from edge_unlock.features import Float32

Range = Literal["minmax", "percentile", "mse"]
RANGES: tuple[Range, ...] = get_args(Range)
PERCENTILE = 99.99
INT8_STEPS = 255
MAX_STEPS = 400
"""Length of a calibration sequence: the cell state has settled long before."""
CLIP_CANDIDATES = np.linspace(0.3, 1.0, 36)


def lay_out(utterances: Sequence[Float32], method: Range) -> Float32:
    """Calibration sequences float32 (N, T, F), one an utterance, inside of the chosen range.

    A short utterance is repeated up to T, so that the cell state reaches what it reaches in
    long ones. The device clips what lies outside of the range when it quantizes.
    """
    length = min(MAX_STEPS, max(map(len, utterances)))
    laid = np.stack([np.resize(steps, (length, steps.shape[1])) for steps in utterances])
    limit = clip_limit(np.concatenate(list(utterances)), method)
    clipped: Float32 = np.clip(laid, -limit, limit).astype(np.float32)
    return clipped


def clip_limit(values: Float32, method: Range) -> float:
    """The magnitude at which ``values`` are clipped before they become int8.

    ``minmax`` clips nothing; ``percentile`` keeps ``PERCENTILE`` percent; ``mse`` makes the
    sum of the squared errors of rounding and of clipping least.
    """
    magnitudes = np.abs(values).ravel()
    top = float(magnitudes.max())
    if method == "minmax":
        return top
    if method == "percentile":
        return float(np.percentile(magnitudes, PERCENTILE))
    limits = top * CLIP_CANDIDATES
    clipping = [float(np.square(magnitudes[magnitudes > limit] - limit).sum()) for limit in limits]
    rounding = len(magnitudes) * np.square(2 * limits / INT8_STEPS) / 12  # uniform within a step
    return float(limits[np.argmin(np.array(clipping) + rounding)])
