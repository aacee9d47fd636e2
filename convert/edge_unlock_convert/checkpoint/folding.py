"""Folds a track of layers into LSTM and dense layers, exactly.

What is linear and stands before an LSTM is multiplied into its input weights, what follows a
dense layer into that layer, and what stands before one into the next. Nothing is approximated.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.checkpoint.step import Affine, Lstm, Plain, Pool, Refused, Step
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.network import Dense, LstmLayer, Pooling


class Folded(NamedTuple):
    """The LSTM layers, the dense layers after them, and how steps become one, if that is said."""

    layers: tuple[LstmLayer, ...]
    dense: tuple[Dense, ...]
    pooling: Pooling | None


def fold(track: Sequence[Step]) -> Folded:
    """Fold a track that holds nothing refused.

    Raises ``CheckpointError`` where a layer stands so that the device cannot compute it.
    """
    lstm_count = sum(isinstance(step.form, Lstm) for step in track)
    if not lstm_count:
        raise CheckpointError(
            "the network ends before its first LSTM", "End it at the LSTM, or after: --embedding."
        )
    folding = _Folding(lstm_count)
    for step in track:
        folding.add(step)
    return folding.finish()


class _Folding:
    def __init__(self, lstm_count: int) -> None:
        self._due = lstm_count
        self._layers: list[LstmLayer] = []
        self._dense: list[Dense] = []
        self._pooling: Pooling | None = None
        self._pending: Affine | None = None
        """A linear map of what was last emitted, that the next layer takes in."""
        self._is_unit = False
        """Whether the embedding has length 1: the device does that itself, and at the very end."""

    def add(self, step: Step) -> None:
        """Take in the next layer; ``CheckpointError`` where it cannot stand."""
        if self._is_unit and step.form not in (Plain("idle"), Plain("unit")):
            raise _misplaced(step)
        match step.form:
            case Lstm(layer):
                self._lstm(step, layer)
            case Affine() as affine:
                self._affine(affine)
            case Pool(how):
                self._pool(step, how)
            case Plain("relu"):
                self._relu(step)
            case Plain("idle"):
                pass
            case Plain("unit") if self._pooling:
                self._is_unit = True
            case Refused(reason, hint):
                raise CheckpointError(reason, hint)
            case _:
                raise _misplaced(step)

    def finish(self) -> Folded:
        """What the layers so far make."""
        if self._pending is not None:
            self._dense.append(Dense(self._pending.weights, self._pending.bias))
        return Folded(tuple(self._layers), tuple(self._dense), self._pooling)

    @property
    def _before_last_lstm(self) -> bool:
        return len(self._layers) < self._due

    def _lstm(self, step: Step, layer: LstmLayer) -> None:
        if self._pooling:
            raise _misplaced(step)
        inputs, bias = layer.input_weights, layer.bias
        if self._pending is not None:
            _check(step, self._pending.weights, inputs)
            inputs, bias = inputs @ self._pending.weights, bias + inputs @ self._pending.bias
            self._pending = None
        self._layers.append(LstmLayer(inputs, layer.recurrent_weights, bias))

    def _affine(self, affine: Affine) -> None:
        last = self._dense[-1] if self._dense else None
        if affine.part and last and last.activation == "linear" and self._pending is None:
            made = _compose(affine, last)
            self._dense[-1] = Dense(made.weights, made.bias)
            return
        made = affine if self._pending is None else _compose(affine, self._pending)
        if affine.part or self._before_last_lstm:
            self._pending = made
        else:
            self._pending = None
            self._dense.append(Dense(made.weights, made.bias))

    def _relu(self, step: Step) -> None:
        # after a mean only what is linear gives what it gives before it
        if self._before_last_lstm or self._pooling in ("mean", "attention"):
            raise _misplaced(step)
        if self._pending is not None:
            self._dense.append(Dense(self._pending.weights, self._pending.bias))
            self._pending = None
        if not self._dense:
            units = self._layers[-1].units
            self._dense.append(Dense(np.eye(units, dtype=np.float32), np.zeros(units, np.float32)))
        last = self._dense[-1]
        self._dense[-1] = Dense(last.weights, last.bias, "relu")

    def _pool(self, step: Step, how: Pooling) -> None:
        if self._before_last_lstm or self._pooling:
            raise _misplaced(step)
        self._pooling = how


def _compose(after: Affine, before: Affine | Dense) -> Affine:
    if after.weights.shape[1] != len(before.bias):
        raise CheckpointError(
            f"a layer of {after.weights.shape[1]} inputs follows one of {len(before.bias)} outputs",
            "Name the layers in the order in which the network computes them.",
        )
    return Affine(after.weights @ before.weights, after.bias + after.weights @ before.bias)


def _check(step: Step, weights: Float32, inputs: Float32) -> None:
    if inputs.ndim != 2 or inputs.shape[1] != len(weights):
        raise CheckpointError(
            f"the LSTM {step.name!r} does not take the {len(weights)} numbers that come before it",
            "Name the layers in the order in which the network computes them.",
        )


def _misplaced(step: Step) -> CheckpointError:
    return CheckpointError(
        f"the layer {step.name!r} ({step.kind}) stands where the device cannot compute it",
        "The device runs LSTM layers, then dense layers a step, then pooling. To end the network "
        "earlier: --embedding LAYER.",
    )
