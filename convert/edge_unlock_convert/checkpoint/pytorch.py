"""PyTorch state dicts of ``nn.LSTM`` and ``nn.Linear``."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.checkpoint.options import Options
from edge_unlock_convert.checkpoint.projection import ProjectedLayer, unproject
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.network import GATES, Dense, Network

NESTING_KEYS = ("state_dict", "model_state_dict", "model_state", "model")
"""Where training frameworks (Lightning the first) keep the state dict of the network."""
WRAPPER_PREFIXES = ("module.", "_orig_mod.", "model.")
"""Put before every name by DataParallel, ``torch.compile`` and Lightning modules."""
LSTM_TENSOR = re.compile(
    r"(?P<module>.*?)\.?(?P<kind>weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)_l(?P<layer>\d+)"
    r"(?P<reverse>_reverse)?$"
)


def read(path: Path, options: Options) -> Network:
    """Read a state dict; ``CheckpointError`` says what is wrong with it."""
    tensors = _Tensors(_load(path))
    for name in options.drop:
        tensors.take(name)
    layers = [
        layer for module in _lstm_modules(tensors, options) for layer in _layers(tensors, module)
    ]
    plain = unproject(layers)
    attention, embedding = _dense_layers(tensors, options)
    if plain.projection is not None:
        embedding = _project(embedding or [_identity(len(plain.projection))], plain.projection)
        attention = attention and _project([attention], plain.projection)[0]
    if embedding and options.embedding_activation != "linear":
        last = embedding[-1]
        embedding[-1] = Dense(last.weights, last.bias, options.embedding_activation)
    tensors.check_empty()
    return Network(plain.layers, tuple(embedding), attention, notes=plain.notes)


class _Tensors:
    """The tensors of a state dict; each is taken once, and none may be left over."""

    def __init__(self, tensors: dict[str, Float32]) -> None:
        self._tensors = tensors

    @property
    def names(self) -> list[str]:
        return list(self._tensors)

    def take(self, name: str) -> Float32:
        try:
            return self._tensors.pop(name)
        except KeyError:
            known = ", ".join(self._tensors) or "nothing more"
            raise CheckpointError(
                f"the state dict has no tensor {name!r}", f"It has: {known}."
            ) from None

    def take_or_none(self, name: str) -> Float32 | None:
        return self._tensors.pop(name, None)

    def check_empty(self) -> None:
        if self._tensors:
            raise CheckpointError(
                f"the state dict holds tensors that no layer uses: {', '.join(self._tensors)}",
                "If the network does not need them, name each with --drop; nothing is ignored.",
            )


def _load(path: Path) -> dict[str, Float32]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds Python objects, which are never loaded: they can run any program",
            "Save the weights alone: torch.save(model.state_dict(), path).",
        ) from error
    except Exception as error:  # a damaged file makes the unpickler fail in any way
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"{path} is damaged or no PyTorch checkpoint: {reason}",
            "It may be cut short: copy it again.",
        ) from error
    state = _unwrap(_state_dict(loaded, path))
    return {name: tensor.to(torch.float32).numpy() for name, tensor in state.items()}


def _state_dict(loaded: Any, path: Path) -> Mapping[str, torch.Tensor]:
    if isinstance(loaded, Mapping):
        for key in NESTING_KEYS:
            if isinstance(loaded.get(key), Mapping):
                return _state_dict(loaded[key], path)
        if loaded and all(isinstance(value, torch.Tensor) for value in loaded.values()):
            return loaded
    raise CheckpointError(
        f"{path} holds no state dict of tensors",
        "Save the weights alone: torch.save(model.state_dict(), path).",
    )


def _unwrap(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    names = list(state)
    while prefix := next(
        (p for p in WRAPPER_PREFIXES if all(name.startswith(p) for name in names)), None
    ):
        names = [name.removeprefix(prefix) for name in names]
    return dict(zip(names, state.values(), strict=True))


def _lstm_modules(tensors: _Tensors, options: Options) -> list[str]:
    found = dict.fromkeys(
        match["module"] for name in tensors.names if (match := LSTM_TENSOR.match(name))
    )
    if not found:
        raise CheckpointError(
            "the checkpoint holds no LSTM", "Only LSTM encoders can be converted."
        )
    if options.lstm:
        return options.lstm
    if len(found) > 1:
        raise CheckpointError(
            f"the checkpoint holds several LSTM modules: {', '.join(found)}",
            "Name those of the encoder with --lstm, first to last.",
        )
    return list(found)


def _layers(tensors: _Tensors, module: str) -> list[ProjectedLayer]:
    prefix = f"{module}." if module else ""
    if any(name.startswith(prefix) and name.endswith("_reverse") for name in tensors.names):
        raise CheckpointError(
            "the LSTM is bidirectional",
            "It needs the end of the utterance first and cannot stream: train one direction.",
        )
    layers: list[ProjectedLayer] = []
    while not layers or f"{prefix}weight_ih_l{len(layers)}" in tensors.names:
        end = f"_l{len(layers)}"
        inputs = tensors.take(f"{prefix}weight_ih{end}")
        recurrent = tensors.take(f"{prefix}weight_hh{end}")
        projection = tensors.take_or_none(f"{prefix}weight_hr{end}")
        if projection is None and inputs.ndim == recurrent.ndim == 2:
            _check_gates(module, len(inputs), recurrent.shape[1])
        biases = (tensors.take_or_none(f"{prefix}{kind}{end}") for kind in ("bias_ih", "bias_hh"))
        bias = np.zeros(len(inputs), np.float32)
        bias = sum((part for part in biases if part is not None), start=bias)
        layers.append(ProjectedLayer(inputs, recurrent, bias, projection))
    return layers


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


def _dense_layers(tensors: _Tensors, options: Options) -> tuple[Dense | None, list[Dense]]:
    """The attention layer, if there is one, and the chain to the embedding."""
    if options.attention or options.embedding:
        attention = options.attention and _dense(tensors, options.attention)
        return attention or None, [_dense(tensors, name) for name in options.embedding]
    found = {
        name.removesuffix(".weight"): _dense(tensors, name.removesuffix(".weight"))
        for name in tensors.names
        if name.endswith(".weight")
    }
    attention_name = None
    if options.pooling in (None, "attention"):
        attention_name = next((name for name, one in found.items() if len(one.bias) == 1), None)
    attention_layer = found.pop(attention_name) if attention_name else None
    if len(found) > 1:
        raise CheckpointError(
            f"the checkpoint holds several dense layers: {', '.join(found)}",
            "Name those from the last LSTM to the embedding with --embedding, first to last.",
        )
    return attention_layer, list(found.values())


def _dense(tensors: _Tensors, name: str) -> Dense:
    weights = tensors.take(f"{name}.weight")
    bias = tensors.take_or_none(f"{name}.bias")
    if weights.ndim != 2:
        raise CheckpointError(
            f"{name} is no dense layer: its weights have shape {weights.shape}",
            "Only LSTM and dense layers can be converted.",
        )
    return Dense(weights, np.zeros(len(weights), np.float32) if bias is None else bias)


def _identity(size: int) -> Dense:
    return Dense(np.eye(size, dtype=np.float32), np.zeros(size, np.float32))


def _project(chain: list[Dense], projection: Float32) -> list[Dense]:
    first = chain[0]
    return [Dense(first.weights @ projection, first.bias, first.activation), *chain[1:]]
