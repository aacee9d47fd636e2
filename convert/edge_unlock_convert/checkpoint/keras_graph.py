"""What Keras's JSON says of a model's layers, and the network that they make."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.checkpoint.options import Options
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.network import Dense, LstmLayer, Network, Pooling

Arrays = dict[str, Float32]

GROUPS = {
    "InputLayer": "input_layer",
    "Masking": "masking",
    "Dropout": "dropout",
    "SpatialDropout1D": "spatial_dropout1d",
    "GaussianNoise": "gaussian_noise",
    "UnitNormalization": "unit_normalization",
    "GlobalAveragePooling1D": "global_average_pooling1d",
    "LSTM": "lstm",
    "Dense": "dense",
    "TimeDistributed": "time_distributed",
}
"""The classes that can be converted, and what Keras calls them in an archive."""
IDLE = ("InputLayer", "Dropout", "SpatialDropout1D", "GaussianNoise")
"""Do nothing once the network is trained."""
MASK_OPERATORS = ("NotEqual", "Any")
"""What Keras 3 writes beside a Masking layer: they compute the mask, which is dropped."""
REASONS = {
    "Lambda": "a Lambda layer is a program, and programs in checkpoints are never run",
    "Bidirectional": "it needs the end of the utterance first, so it cannot stream",
    "LayerNormalization": "its statistics change with every step, so it cannot be folded into "
    "the weights beside it, and the fused int8 LSTM has none",
    "GRU": "only LSTM can be converted",
    "SimpleRNN": "only LSTM can be converted",
}


@dataclass
class Layer:
    """One layer: its settings, the layers it reads from, and its arrays by role."""

    name: str
    kind: str
    config: dict[str, Any]
    parents: list[str]
    arrays: Arrays = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The class as Keras writes it in an archive."""
        return GROUPS[self.kind]

    @property
    def has_weights(self) -> bool:
        """Whether the layer was trained."""
        return self.kind in ("LSTM", "Dense", "TimeDistributed")


def parse(description: Any) -> list[Layer]:
    """The layers of a Sequential or Functional model, in Keras's order.

    Raises ``CheckpointError`` for every layer that cannot be converted, with the reason.
    """
    try:
        kind, config = description["class_name"], description["config"]
        if kind not in ("Sequential", "Functional", "Model"):
            raise CheckpointError(
                f"the model is of the class {kind}, whose layers are in its program",
                "Build the same layers as a Sequential or Functional model and copy the weights.",
            )
        layers: list[Layer] = []
        for entry in config["layers"]:
            if entry["class_name"] in MASK_OPERATORS:
                continue
            previous = [layers[-1].name] if layers else []
            parents = previous if kind == "Sequential" else _parents(entry["inbound_nodes"])
            layers.append(_layer(entry, parents))
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise CheckpointError(
            "the description of the model's layers is malformed",
            "Save the whole model again: model.save('encoder.keras').",
        ) from error
    if not any(layer.kind == "LSTM" for layer in layers):
        raise CheckpointError("the model has no LSTM layer", "Only LSTM encoders can be converted.")
    return layers


def build(layers: list[Layer], options: Options) -> Network:
    """The network of layers that hold their arrays; ``CheckpointError`` if they make none."""
    by_name = {layer.name: layer for layer in layers}
    read = {parent for layer in layers for parent in layer.parents}
    paths = [_Path(_trace(layer, by_name)) for layer in layers if layer.name not in read]
    if len(paths) > 2 or any(path.lstm != paths[0].lstm for path in paths):
        raise CheckpointError(
            f"the model has {len(paths)} outputs that do not all come from the last LSTM",
            "It gives an embedding, and maybe one more number a step that weighs it.",
        )
    attention = next(
        (path for path in paths if len(paths) == 2 and _is_attention(path, options)), None
    )
    main = [path for path in paths if path is not attention]
    if len(main) != 1:
        raise CheckpointError(
            "the model has two outputs and neither is one number a step",
            "Say which layer weighs the steps: --attention NAME.",
        )
    if attention is not None and (len(attention.dense) != 1 or attention.pooling):
        raise CheckpointError(
            "the attention output is not one dense layer on the last LSTM", "Train it as one."
        )
    notes = []
    if any(layer.kind == "Masking" for layer in layers):
        notes.append("Masking was dropped: the device never pads")
    return Network(
        tuple(_lstm(layer) for layer in main[0].lstm),
        tuple(_dense(layer) for layer in main[0].dense),
        None if attention is None else _dense(attention.dense[0]),
        main[0].pooling,
        tuple(notes),
    )


class _Path:
    """The layers from the input to one output, sorted by what they do."""

    def __init__(self, layers: Iterable[Layer]) -> None:
        self.lstm: list[Layer] = []
        self.dense: list[Layer] = []
        self.pooling: Pooling | None = None
        for layer in layers:
            self._add(layer)

    def _add(self, layer: Layer) -> None:
        if layer.kind in IDLE or (layer.kind == "Masking" and not self.lstm):
            return
        if layer.kind == "LSTM" and not self.dense and not self.pooling:
            self.lstm.append(layer)
            if not layer.config["return_sequences"]:
                self.pooling = "last"
        elif layer.kind == "GlobalAveragePooling1D" and self.lstm and not self.pooling:
            if any(_settings(dense)["activation"] != "linear" for dense in self.dense[:-1]):
                raise _misplaced(layer)
            self.pooling = "mean"
        elif layer.kind in ("Dense", "TimeDistributed") and self.lstm:
            # a linear layer after the mean gives what it gives before it; no other does
            if self.pooling == "mean" and _settings(layer)["activation"] != "linear":
                raise _misplaced(layer)
            self.dense.append(layer)
        elif layer.kind != "UnitNormalization" or not self.pooling:
            raise _misplaced(layer)
        # the device scales the embedding to length 1 itself


def _misplaced(layer: Layer) -> CheckpointError:
    return CheckpointError(
        f"the layer {layer.name!r} ({layer.kind}) stands where the device cannot compute it",
        "The device runs LSTM layers, then dense layers a step, then pooling.",
    )


def _is_attention(path: _Path, options: Options) -> bool:
    if not path.dense:
        return False
    last = path.dense[-1]
    return last.name == options.attention or (
        options.attention is None and _settings(last)["units"] == 1
    )


def _trace(layer: Layer, by_name: dict[str, Layer]) -> list[Layer]:
    """The layers from the input to this one."""
    path = [layer]
    while path[-1].parents:
        if len(path[-1].parents) > 1 or path[-1].parents[0] not in by_name or len(path) > 1000:
            raise CheckpointError(
                f"the layer {path[-1].name!r} reads from several layers",
                "The device runs one stack of layers; merges are not supported.",
            )
        path.append(by_name[path[-1].parents[0]])
    return path[::-1]


def _layer(entry: dict[str, Any], parents: list[str]) -> Layer:
    kind, config = entry["class_name"], entry["config"]
    name = config["name"]
    inner = config["layer"]["class_name"] if kind == "TimeDistributed" else kind
    if kind in REASONS or kind not in GROUPS or (kind == "TimeDistributed" and inner != "Dense"):
        reason = REASONS.get(kind, "only LSTM and dense layers can be converted")
        raise CheckpointError(
            f"the layer {name!r} ({kind}) cannot be converted: {reason}",
            "Train the encoder without it.",
        )
    if entry.get("registered_name") not in (None, kind) or not str(
        entry.get("module") or "keras"
    ).startswith("keras"):
        raise CheckpointError(
            f"the layer {name!r} is a class of its own", "Use the layers that Keras has."
        )
    if kind == "LSTM":
        _check_lstm(name, config)
    layer = Layer(name, kind, config, parents)
    if inner == "Dense" and _settings(layer)["activation"] not in ("linear", "relu"):
        raise CheckpointError(
            f"the layer {name!r} has the activation {_settings(layer)['activation']!r}",
            "The device computes linear and relu.",
        )
    return layer


def _check_lstm(name: str, config: dict[str, Any]) -> None:
    wanted = {
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "go_backwards": False,
        "time_major": False,
        "return_state": False,
    }
    for setting, value in wanted.items():
        if config.get(setting, value) != value:
            raise CheckpointError(
                f"the LSTM layer {name!r} has {setting}={config[setting]!r}",
                f"The fused LSTM of TFLite computes {setting}={value!r} only.",
            )


def _parents(nodes: Any) -> list[str]:
    """Names of the layers that a layer is called on, as Keras 2 or Keras 3 writes them."""
    if len(nodes) > 1:
        raise CheckpointError(
            "a layer is used several times in the model", "The device runs one stack of layers."
        )
    if not nodes:
        return []
    if isinstance(nodes[0], dict):
        return [tensor["config"]["keras_history"][0] for tensor in _tensors(nodes[0]["args"])]
    return [str(tensor[0]) for tensor in nodes[0]]


def _tensors(arguments: Any) -> list[dict[str, Any]]:
    if isinstance(arguments, dict):
        return [arguments] if arguments.get("class_name") == "__keras_tensor__" else []
    if isinstance(arguments, list):
        return [tensor for one in arguments for tensor in _tensors(one)]
    return []


def _settings(layer: Layer) -> dict[str, Any]:
    """The configuration of a dense layer, also where TimeDistributed wraps it."""
    inner: dict[str, Any] = layer.config
    return inner["layer"]["config"] if layer.kind == "TimeDistributed" else inner


def _lstm(layer: Layer) -> LstmLayer:
    """Keras keeps the gate order i, f, c, o, transposed."""
    kernel, recurrent = _matrix(layer, "kernel"), _matrix(layer, "recurrent_kernel")
    bias = layer.arrays.get("bias", np.zeros(kernel.shape[1], np.float32))
    return LstmLayer(kernel.T.copy(), recurrent.T.copy(), bias)


def _dense(layer: Layer) -> Dense:
    kernel = _matrix(layer, "kernel")
    bias = layer.arrays.get("bias", np.zeros(kernel.shape[1], np.float32))
    return Dense(kernel.T.copy(), bias, _settings(layer)["activation"])


def _matrix(layer: Layer, role: str) -> Float32:
    found = layer.arrays.get(role)
    if found is None or found.ndim != 2:
        raise CheckpointError(
            f"the layer {layer.name!r} has no matrix {role!r}",
            "Save the whole model again: model.save('encoder.keras').",
        )
    return found
