"""LSTM layers with a projection (``proj_size``), made plain without loss.

A projected layer shows ``P @ h`` (P: projected size x H) where ``h`` is the hidden state of a
plain one. Everything that reads its output is linear in it, so ``P`` can be multiplied into
the readers: its own recurrent weights, and the input weights of what comes next. The result
is the same function with H x H recurrent weights; TensorFlow Lite's Keras path has no
projected kernel.
"""

from collections.abc import Sequence
from typing import NamedTuple

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.network import LstmLayer


class ProjectedLayer(NamedTuple):
    """Weights as PyTorch keeps them: recurrent float32 (4H, P), projection (P, H) or None."""

    input_weights: Float32
    recurrent_weights: Float32
    bias: Float32
    projection: Float32 | None


class Unprojected(NamedTuple):
    """Plain layers, the projection that is still due after the last of them, and what it cost."""

    layers: tuple[LstmLayer, ...]
    projection: Float32 | None
    notes: tuple[str, ...]


def unproject(layers: Sequence[ProjectedLayer]) -> Unprojected:
    """Fold every projection into the weights that read it."""
    plain: list[LstmLayer] = []
    before: Float32 | None = None
    original_macs = 0
    for layer in layers:
        inputs, recurrent, projection = (
            layer.input_weights,
            layer.recurrent_weights,
            layer.projection,
        )
        original_macs += inputs.size + recurrent.size
        original_macs += 0 if projection is None else projection.size
        if before is not None:
            inputs = inputs @ before
        if projection is not None:
            recurrent = recurrent @ projection
        plain.append(LstmLayer(inputs, recurrent, layer.bias))
        before = projection
    macs = sum(layer.macs for layer in plain)
    notes: tuple[str, ...] = ()
    if any(layer.projection is not None for layer in layers):
        notes = (
            f"the projections were folded into the weights that read them: {macs:,} "
            f"multiplications a step instead of {original_macs:,}, with the same result",
        )
    return Unprojected(tuple(plain), before, notes)
