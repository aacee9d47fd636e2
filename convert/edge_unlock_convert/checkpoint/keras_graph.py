"""What Keras's JSON says of a model: its layers, in which of them they lie, what each reads."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.errors import CheckpointError

Arrays = dict[str, Float32]

CONTAINERS = ("Sequential", "Functional", "Model")
MASK_OPERATORS = ("NotEqual", "Any")
"""What Keras 3 writes beside a Masking layer: they compute the mask, which is dropped."""
MAX_NESTING = 8
RESAVE = "Save the whole model again: model.save('encoder.keras')."
ROLES = {
    "LSTM": ("kernel", "recurrent_kernel", "bias"),
    "RNN": ("kernel", "recurrent_kernel", "bias"),
    "Dense": ("kernel", "bias"),
    "TimeDistributed": ("kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Normalization": ("mean", "variance", "count"),
}
"""The arrays of a class, in the order in which Keras numbers them."""


@dataclass
class Layer:
    """One layer: its settings, the layers it reads from, and its arrays by role.

    ``parents`` are names, each with the number of the output that is read. ``groups`` says where
    an archive keeps the arrays, ``top`` which layer of the outermost model it lies in.
    """

    name: str
    kind: str
    config: dict[str, Any]
    parents: list[tuple[str, int]]
    groups: str
    top: str
    module: str = "keras"
    arrays: Arrays = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration, also where TimeDistributed or RNN wraps what it is of."""
        inner = {"TimeDistributed": "layer", "RNN": "cell"}.get(self.kind)
        found: dict[str, Any] = self.config[inner]["config"] if inner else self.config
        return found

    @property
    def inner_kind(self) -> str:
        """The class, also where TimeDistributed or RNN wraps it."""
        inner = {"TimeDistributed": "layer", "RNN": "cell"}.get(self.kind)
        return str(self.config[inner]["class_name"]) if inner else self.kind

    @property
    def roles(self) -> tuple[str, ...]:
        """The arrays that the layer has by its settings."""
        unused = {"scale": "gamma", "center": "beta", "use_bias": "bias"}
        without = {role for key, role in unused.items() if self.settings.get(key, True) is False}
        return tuple(role for role in ROLES.get(self.kind, ()) if role not in without)


@dataclass(frozen=True)
class Model:
    """The layers of a model and of those in it, and what it gives: layers with output numbers."""

    layers: list[Layer]
    outputs: list[tuple[str, int]]


def parse(description: Any) -> Model:
    """The layers of a Sequential or Functional model, in Keras's order, nested models laid open.

    Raises ``CheckpointError`` when the layers are in a program, or the JSON is malformed.
    """
    try:
        model = _model(description, "", "", 0)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        what = "the description of the model's layers is malformed"
        raise CheckpointError(what, RESAVE) from error
    counts = Counter(layer.name for layer in model.layers)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise CheckpointError(
            f"several layers have the same name: {', '.join(twice)}",
            "Give every layer a name of its own, also in nested models.",
        )
    return model


def _model(description: Any, place: str, top: str, depth: int) -> Model:
    kind, config = description["class_name"], description["config"]
    if kind not in CONTAINERS or depth > MAX_NESTING:
        raise CheckpointError(
            f"the model is of the class {kind}, whose layers are in its program",
            "Build the same layers as a Sequential or Functional model and copy the weights.",
        )
    # Keras wrote a Sequential model as a mere list until 2.2
    entries = config if isinstance(config, list) else config["layers"]
    layers: list[Layer] = []
    last: list[tuple[str, int]] = []
    counts = Counter[str]()
    ends: dict[tuple[str, int], tuple[str, int]] = {}
    """What a nested model gives, by the name of the model."""
    for entry in entries:
        if entry["class_name"] in MASK_OPERATORS:
            continue
        name = str(entry["config"]["name"] if "name" in entry["config"] else entry["name"])
        group = _group(str(entry["class_name"]), counts)
        parents = last if kind == "Sequential" else _parents(name, entry["inbound_nodes"])
        parents = [ends.get(parent, parent) for parent in parents]
        where = f"{place}layers/{group}"
        if entry["class_name"] in CONTAINERS:
            inner = _model(entry, f"{where}/", top or name, depth + 1)
            for layer in inner.layers:
                layer.parents = layer.parents or parents
            layers += inner.layers
            for number, end in enumerate(inner.outputs):
                ends[name, number] = end
            last = inner.outputs[:1]
        else:
            module = str(entry.get("module") or "keras")
            if entry.get("registered_name") not in (None, entry["class_name"]):
                module = str(entry["registered_name"])
            kind_of = str(entry["class_name"])
            config_of = entry["config"]
            layers.append(Layer(name, kind_of, config_of, parents, where, top or name, module))
            last = [(name, 0)]
    given = None if isinstance(config, list) else config.get("output_layers")
    if kind == "Sequential" or not given:
        read = {parent for layer in layers for parent, _ in layer.parents}
        leaves = [(layer.name, 0) for layer in layers if layer.name not in read]
        return Model(layers, last if kind == "Sequential" else leaves)
    given = [given] if isinstance(given[0], str) else given
    outputs = [(str(one[0]), int(one[2])) for one in given]
    return Model(layers, [ends.get(one, one) for one in outputs])


def _group(kind: str, counts: Counter[str]) -> str:
    """Keras names a layer's group after its class, numbered: ``lstm``, ``lstm_1``."""
    # keras/src/utils/naming.py: to_snake_case
    name = re.sub(r"\W+", "", kind)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    name = re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
    number = counts[name]
    counts[name] += 1
    return f"{name}_{number}" if number else name


def _parents(name: str, nodes: Any) -> list[tuple[str, int]]:
    """The layers that a layer is called on, as Keras 2 or Keras 3 writes them."""
    if len(nodes) > 1:
        raise CheckpointError(
            f"the layer {name!r} is used several times in the model",
            "The device runs one stack of layers: save the encoder alone, "
            f"model.get_layer({name!r}).save('encoder.keras').",
        )
    if not nodes:
        return []
    if isinstance(nodes[0], dict):
        found = [tensor["config"]["keras_history"] for tensor in _tensors(nodes[0]["args"])]
    else:
        found = nodes[0] if isinstance(nodes[0][0], list) else [nodes[0]]
    return [(str(one[0]), int(one[2])) for one in found]


def _tensors(arguments: Any) -> Sequence[dict[str, Any]]:
    if isinstance(arguments, dict):
        return [arguments] if arguments.get("class_name") == "__keras_tensor__" else []
    if isinstance(arguments, list):
        return [tensor for one in arguments for tensor in _tensors(one)]
    return []
