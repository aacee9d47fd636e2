"""Network inputs that show the converter the range of every activation."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.network import Network, run

Range = Literal["minmax", "percentile", "mse", "output"]
RANGES: tuple[Range, ...] = get_args(Range)
PERCENTILE = 99.99
INT8_STEPS = 255
MAX_STEPS = 400
"""Length of a representative sequence: the cell state has settled long before."""
MSE_SHARES = np.linspace(0.3, 1.0, 36)
OUTPUT_SHARES = 2.0 ** -np.arange(0, 8, 0.5)
OUTPUT_UTTERANCES, OUTPUT_STEPS = 16, 200


def lay_out(network: Network, utterances: Sequence[Float32], method: Range) -> Float32:
    """Representative sequences float32 (N, T, F), one an utterance, inside of the chosen range.

    A short utterance is repeated up to T, so that the cell state reaches what it reaches in
    long ones. The device clips what lies outside of the range when it quantizes.
    """
    length = min(MAX_STEPS, max(map(len, utterances)))
    laid = np.stack([np.resize(steps, (length, steps.shape[1])) for steps in utterances])
    limit = clip_limit(network, utterances, method)
    clipped: Float32 = np.clip(laid, -limit, limit).astype(np.float32)
    return clipped


def clip_limit(network: Network, utterances: Sequence[Float32], method: Range) -> float:
    """The magnitude at which inputs are clipped before they become int8.

    ``minmax`` clips nothing; ``percentile`` keeps ``PERCENTILE`` percent of the inputs;
    ``mse`` makes their squared error by rounding and clipping least; ``output`` makes that of
    the network's output least, which sees that an LSTM gate saturates for large inputs.
    """
    values = np.concatenate(list(utterances)).ravel()
    magnitudes = np.abs(values)
    top = float(magnitudes.max())
    if method == "minmax":
        return top
    if method == "percentile":
        return float(np.percentile(magnitudes, PERCENTILE))
    if method == "mse":
        limits = top * MSE_SHARES
        errors = [float(np.square(rounded(values, limit) - values).sum()) for limit in limits]
    else:
        limits = top * OUTPUT_SHARES
        errors = _output_errors(network, utterances, limits)
    return float(limits[int(np.argmin(errors))])


def rounded(values: Float32, limit: float) -> Float32:
    """``values`` after int8, whose steps share the range from the least to the greatest."""
    low, high = max(float(values.min()), -limit), min(float(values.max()), limit)
    step = (high - low) / INT8_STEPS or 1.0
    back: Float32 = (np.rint(np.clip(values, low, high) / step) * step).astype(np.float32)
    return back


def _output_errors(network: Network, utterances: Sequence[Float32], limits: Float32) -> list[float]:
    """Squared error of the embeddings of all steps, for each of the limits."""
    shown = [steps[:OUTPUT_STEPS] for steps in utterances[:OUTPUT_UTTERANCES]]
    exact = [outputs.embedding for outputs in run(network, shown)]
    ends = np.cumsum([len(steps) for steps in shown])[:-1]
    together = np.concatenate(shown)
    errors = []
    for limit in limits:
        inputs = np.split(rounded(together, float(limit)), ends)
        errors.append(
            sum(
                float(np.square(outputs.embedding - wanted).sum())
                for outputs, wanted in zip(run(network, inputs), exact, strict=True)
            )
        )
    return errors
