"""The modules of a state dict, recognized by their tensors' names and shapes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.checkpoint.step import Affine, Lstm, Refused, Step
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.network import GATES, LstmLayer

LSTM_TENSOR = re.compile(
    r"(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)(_l(?P<layer>\d+)(?P<reverse>_reverse)?)?$"
)
"""Of ``nn.LSTM``; without a layer, of ``nn.LSTMCell``."""
BATCH_NORM_EPSILON = 1e-5
"""PyTorch's default; a state dict does not say another."""


@dataclass
class Module:
    """A module: its name, and its tensors by what the module calls them."""

    name: str
    tensors: dict[str, Float32] = field(default_factory=dict)

    @property
    def is_lstm(self) -> bool:
        """Whether it is an LSTM or a single cell."""
        return any(LSTM_TENSOR.match(name) for name in self.tensors)

    @property
    def is_norm(self) -> bool:
        """Whether it normalizes by statistics of training."""
        return "running_mean" in self.tensors

    @property
    def is_dense(self) -> bool:
        """Whether it multiplies by a matrix and adds a bias."""
        weights = self.tensors.get("weight")
        return weights is not None and weights.ndim == 2 and set(self.tensors) <= {"weight", "bias"}

    @property
    def inputs(self) -> int:
        """What a dense layer reads."""
        return self.tensors["weight"].shape[1]

    def steps(self) -> list[Step]:
        """Its layers. Raises ``CheckpointError`` when tensors are missing."""
        if self.is_lstm:
            return self._lstm()
        if self.is_norm:
            return [Step(self.name, "BatchNorm", self._norm())]
        if not self.is_dense:
            shapes = ", ".join(f"{name} {one.shape}" for name, one in self.tensors.items())
            reason = f"{self.name} is no dense layer: it holds {shapes}"
            if {one.ndim for one in self.tensors.values()} == {1}:
                reason += ", as a LayerNorm does, whose statistics change with every step"
            return [Step(self.name, "other", Refused(reason))]
        weights = self.tensors["weight"]
        bias = self.tensors.get("bias", np.zeros(len(weights), np.float32))
        return [Step(self.name, "Linear", Affine(weights, bias))]

    def _norm(self) -> Affine:
        mean, variance = self.tensors["running_mean"], self._take("running_var")
        ones, zeros = np.ones_like(mean), np.zeros_like(mean)
        scale = self.tensors.get("weight", ones) / np.sqrt(variance + BATCH_NORM_EPSILON)
        shift = self.tensors.get("bias", zeros) - mean * scale
        return Affine(np.diag(scale), shift, part=True)

    def _lstm(self) -> list[Step]:
        if any(name.endswith("_reverse") for name in self.tensors):
            reason = "the LSTM is bidirectional"
            hint = "It needs the end of the utterance first and cannot stream: train one direction."
            return [Step(self.name, "LSTM", Refused(reason, hint))]
        ends: tuple[str, ...] = ("",)
        if not any(name in self.tensors for name in ("weight_ih", "weight_hh")):
            numbers = {int(match["layer"]) for name in self.tensors
                       if (match := LSTM_TENSOR.match(name)) and match["layer"]}  # fmt: skip
            ends = tuple(f"_l{number}" for number in range(max(numbers) + 1))
        steps: list[Step] = []
        for end in ends:
            inputs, recurrent = self._take(f"weight_ih{end}"), self._take(f"weight_hh{end}")
            projection = self.tensors.get(f"weight_hr{end}")
            if projection is None and inputs.ndim == recurrent.ndim == 2:
                _check_gates(self.name, len(inputs), recurrent.shape[1])
            bias = np.zeros(len(inputs), np.float32)
            for kind in ("bias_ih", "bias_hh"):
                bias = bias + self.tensors.get(f"{kind}{end}", np.float32(0))
            if projection is not None:
                recurrent = recurrent @ projection
            steps.append(Step(self.name, "LSTM", Lstm(LstmLayer(inputs, recurrent, bias))))
            if projection is not None:
                # what reads the layer is linear in it: the projection goes into its weights
                zeros = np.zeros(len(projection), np.float32)
                part = Affine(projection, zeros, part=True)
                steps.append(Step(self.name, "projection", part))
        return steps

    def _take(self, tensor: str) -> Float32:
        if tensor not in self.tensors:
            known = ", ".join(self.tensors)
            name = f"{self.name}.{tensor}" if self.name else tensor
            raise CheckpointError(f"the state dict has no tensor {name!r}", f"It has: {known}.")
        return self.tensors[tensor]


def modules(state: Mapping[str, Float32]) -> dict[str, Module]:
    """The modules of a state dict by name, in its order, which is that of their definition."""
    found: dict[str, Module] = {}
    for name, tensor in state.items():
        owner, _, own = name.rpartition(".")
        found.setdefault(owner, Module(owner)).tensors[own] = tensor
    return found


def _check_gates(module: str, rows: int, units: int) -> None:
    if rows == 3 * units:
        raise CheckpointError(
            f"{module or 'the module'} is a GRU (three gates)", "Only LSTM can be converted."
        )
    if rows != GATES * units:
        raise CheckpointError(
            f"{module or 'the module'} has {rows} gate rows for {units} units, which is no LSTM",
            "An LSTM has four gates a unit.",
        )
