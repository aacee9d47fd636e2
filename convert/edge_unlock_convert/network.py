"""The one internal form of a trained encoder, and its float forward pass.

Every checkpoint becomes a ``Network``; everything after (conversion, comparison, the model
card) starts from it. Gates are stacked in PyTorch's order: input, forget, cell, output.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.encoder import ATTENTION_LOGIT_LIMIT
from edge_unlock.encoder.features import Float32
from edge_unlock_convert.errors import CheckpointError

Activation = Literal["linear", "relu"]
Pooling = Literal["attention", "mean", "last"]

GATES = 4
MAX_LAYERS = 16
MAX_UNITS = 4096
"""A larger layer is beyond this class of hardware and is refused."""
BATCH_SEQUENCES = 32


@dataclass(frozen=True)
class LstmLayer:
    """One LSTM layer of H units on I inputs, without peepholes or projection.

    ``input_weights`` float32 (4H, I), ``recurrent_weights`` float32 (4H, H), ``bias``
    float32 (4H,), each with the gates i, f, g, o stacked.
    """

    input_weights: Float32
    recurrent_weights: Float32
    bias: Float32

    @property
    def units(self) -> int:
        """H, the size of the hidden state."""
        return self.recurrent_weights.shape[1]

    @property
    def inputs(self) -> int:
        """I, the size of one input step."""
        return self.input_weights.shape[1]

    @property
    def macs(self) -> int:
        """Multiplications of one step."""
        return self.input_weights.size + self.recurrent_weights.size


@dataclass(frozen=True)
class Dense:
    """``activation(weights @ x + bias)``: weights float32 (D, I), bias float32 (D,)."""

    weights: Float32
    bias: Float32
    activation: Activation = "linear"


@dataclass(frozen=True)
class Network:
    """Stacked LSTM layers, a chain of dense layers to the embedding, and maybe an attention logit.

    An empty ``embedding`` means that the last hidden state is the embedding. ``pooling`` is
    how the steps become one embedding, where the checkpoint says it. ``notes`` says what was
    changed on the way here (a projection folded, a layer without effect dropped).
    """

    layers: tuple[LstmLayer, ...]
    embedding: tuple[Dense, ...] = ()
    attention: Dense | None = None
    pooling: Pooling | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise CheckpointError(
                f"the network has {len(self.layers)} LSTM layers",
                f"It needs at least one and at most {MAX_LAYERS}.",
            )
        size = self.input_size
        for number, layer in enumerate(self.layers):
            _check_lstm(layer, size, f"LSTM layer {number + 1}")
            size = layer.units
        for number, dense in enumerate(self.embedding):
            _check_dense(dense, size, f"dense layer {number + 1}")
            size = len(dense.bias)
        if self.attention is not None:
            _check_dense(self.attention, self.layers[-1].units, "the attention layer")
            if len(self.attention.bias) != 1:
                raise CheckpointError(
                    f"the attention layer has {len(self.attention.bias)} outputs",
                    "It gives one number, the weight of a step.",
                )

    @property
    def input_size(self) -> int:
        """Numbers in one input step: coefficients times stacked frames."""
        return self.layers[0].inputs

    @property
    def embedding_size(self) -> int:
        """Numbers in the embedding."""
        return len(self.embedding[-1].bias) if self.embedding else self.layers[-1].units

    @property
    def macs(self) -> int:
        """Multiplications of one recurrent step, all layers together."""
        heads = sum(head.weights.size for head in self._heads)
        return sum(layer.macs for layer in self.layers) + heads

    @property
    def parameters(self) -> int:
        """Trained numbers of the network."""
        biases = [layer.bias.size for layer in self.layers]
        biases += [head.bias.size for head in self._heads]
        return self.macs + sum(biases)

    @property
    def _heads(self) -> tuple[Dense, ...]:
        return self.embedding if self.attention is None else (*self.embedding, self.attention)

    @property
    def shape(self) -> str:
        """Its architecture in a few characters, for people: ``2x256 LSTM, 192``."""
        units = [layer.units for layer in self.layers]
        stack = f"{len(units)}x{units[0]}" if len(set(units)) == 1 else "-".join(map(str, units))
        return f"{stack} LSTM, {self.embedding_size}-dimensional embedding"

    def save(self, path: Path) -> None:
        """Write the arrays to an ``.npz`` file, for another process to ``load``."""
        arrays: dict[str, NDArray[Any]] = {
            "notes": np.array(self.notes, dtype=np.str_),
            "pooling": np.array(self.pooling or ""),
        }
        for number, layer in enumerate(self.layers):
            arrays[f"lstm{number}.input"] = layer.input_weights
            arrays[f"lstm{number}.recurrent"] = layer.recurrent_weights
            arrays[f"lstm{number}.bias"] = layer.bias
        heads = {f"dense{number}": dense for number, dense in enumerate(self.embedding)}
        if self.attention is not None:
            heads["attention"] = self.attention
        for name, dense in heads.items():
            arrays[f"{name}.weights"] = dense.weights
            arrays[f"{name}.bias"] = dense.bias
            arrays[f"{name}.activation"] = np.array(dense.activation)
        np.savez(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Network":
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as arrays:

            def dense(name: str) -> Dense:
                activation: Activation = (
                    "relu" if arrays[f"{name}.activation"] == "relu" else "linear"
                )
                return Dense(arrays[f"{name}.weights"], arrays[f"{name}.bias"], activation)

            def count(prefix: str) -> int:
                return sum(name.startswith(prefix) and name.endswith(".bias") for name in arrays)

            layers = tuple(
                LstmLayer(
                    arrays[f"lstm{number}.input"],
                    arrays[f"lstm{number}.recurrent"],
                    arrays[f"lstm{number}.bias"],
                )
                for number in range(count("lstm"))
            )
            embedding = tuple(dense(f"dense{number}") for number in range(count("dense")))
            attention = dense("attention") if count("attention") else None
            said = str(arrays["pooling"])
            pooling = next((one for one in get_args(Pooling) if one == said), None)
            return cls(layers, embedding, attention, pooling, tuple(map(str, arrays["notes"])))


class Outputs(NamedTuple):
    """What the network gives for T steps of one utterance.

    ``embedding`` float32 (T, D); ``logit`` float32 (T,) or None without attention;
    ``hidden`` one float32 (T, H) a layer.
    """

    embedding: Float32
    logit: Float32 | None
    hidden: tuple[Float32, ...]


def run(network: Network, utterances: Sequence[Float32]) -> Iterator[Outputs]:
    """Float forward pass over utterances, each (T, F); yields in their order.

    Utterances of any lengths are run side by side, padded at the end, where a causal
    network cannot see it.
    """
    for start in range(0, len(utterances), BATCH_SEQUENCES):
        group = utterances[start : start + BATCH_SEQUENCES]
        batch = np.zeros((len(group), max(map(len, group)), network.input_size), np.float32)
        for row, steps in zip(batch, group, strict=True):
            row[: len(steps)] = steps
        hidden: list[Float32] = []
        for layer in network.layers:
            hidden.append(run_lstm(layer, hidden[-1] if hidden else batch)[0])
        embedding = hidden[-1]
        for dense in network.embedding:
            embedding = run_dense(dense, embedding)
        logit = (
            None if network.attention is None else run_dense(network.attention, hidden[-1])[..., 0]
        )
        for row, steps in enumerate(group):
            length = len(steps)
            yield Outputs(
                embedding[row, :length],
                None if logit is None else logit[row, :length],
                tuple(layer[row, :length] for layer in hidden),
            )


def run_lstm(layer: LstmLayer, batch: Float32) -> tuple[Float32, float]:
    """Hidden states (B, T, H) of inputs (B, T, I), and the greatest magnitude of a cell state."""
    size = layer.units
    gates = batch @ layer.input_weights.T + layer.bias
    recurrent = layer.recurrent_weights.T
    hidden = np.zeros((len(batch), size), np.float32)
    cell = np.zeros_like(hidden)
    outputs = np.empty((*batch.shape[:2], size), np.float32)
    reach = 0.0
    for step in range(batch.shape[1]):
        now = gates[:, step] + hidden @ recurrent
        write, forget, candidate, show = np.split(now, GATES, axis=1)
        cell = _sigmoid(forget) * cell + _sigmoid(write) * np.tanh(candidate)
        hidden = _sigmoid(show) * np.tanh(cell)
        outputs[:, step] = hidden
        reach = max(reach, float(np.abs(cell).max()))
    return outputs, reach


def run_dense(dense: Dense, inputs: Float32) -> Float32:
    """Outputs (..., D) of inputs (..., I)."""
    outputs: Float32 = inputs @ dense.weights.T + dense.bias
    return np.maximum(outputs, 0) if dense.activation == "relu" else outputs


def pool(embedding: Float32, logit: Float32 | None, pooling: Pooling) -> Float32:
    """One embedding (D,), L2 norm 1, of the step outputs (T, D), as the device's ``Encoder`` does.

    NaN when their mean is no direction.
    """
    mean = mean_step(embedding, logit, pooling)
    with np.errstate(invalid="ignore"):
        unit: Float32 = (mean / np.linalg.norm(mean)).astype(np.float32)
    return unit


def mean_step(embedding: Float32, logit: Float32 | None, pooling: Pooling) -> NDArray[np.float64]:
    """The mean (D,) of the step outputs (T, D), as pooling weighs them; its length is what the
    device calls the magnitude of the embedding.
    """
    if pooling == "last":
        mean = embedding[-1].astype(np.float64)
    elif pooling == "mean" or logit is None:
        mean = embedding.mean(axis=0, dtype=np.float64)
    else:
        limit = ATTENTION_LOGIT_LIMIT
        weights = np.exp(np.clip(logit.astype(np.float64), -limit, limit))
        mean = weights @ embedding / weights.sum()
    return np.asarray(mean)


def _sigmoid(values: Float32) -> Float32:
    half: Float32 = 0.5 * (1 + np.tanh(0.5 * values))  # no overflow on either side
    return half


def _check_lstm(layer: LstmLayer, inputs: int, name: str) -> None:
    units = layer.recurrent_weights.shape[-1]
    if units > MAX_UNITS:
        raise CheckpointError(f"{name} has {units} units", f"At most {MAX_UNITS} are accepted.")
    expected = ((GATES * units, inputs), (GATES * units, units), (GATES * units,))
    found = (layer.input_weights.shape, layer.recurrent_weights.shape, layer.bias.shape)
    if found != expected:
        raise CheckpointError(
            f"{name} has weights of shapes {found}, which is no LSTM on {inputs} inputs",
            "Gate weights are (4 x units, inputs), (4 x units, units) and (4 x units,).",
        )
    _check_finite(name, layer.input_weights, layer.recurrent_weights, layer.bias)


def _check_dense(dense: Dense, inputs: int, name: str) -> None:
    if dense.weights.ndim != 2 or dense.weights.shape != (len(dense.bias), inputs):
        raise CheckpointError(
            f"{name} has weights of shape {dense.weights.shape} where (outputs, {inputs}) is due",
            "Its inputs are the units of the layer before it.",
        )
    _check_finite(name, dense.weights, dense.bias)


def _check_finite(name: str, *arrays: Float32) -> None:
    if not all(np.isfinite(array).all() for array in arrays):
        raise CheckpointError(
            f"{name} holds weights that are not finite (NaN or infinity)",
            "The training diverged: choose an earlier checkpoint.",
        )
