"""Keras's layers as steps, and the tracks that they make."""

from typing import Any

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.checkpoint.keras_graph import RESAVE, Layer, Model
from edge_unlock_convert.checkpoint.options import Options
from edge_unlock_convert.checkpoint.step import (
    END_EARLIER,
    Affine,
    Contents,
    Form,
    Lstm,
    Plain,
    Pool,
    Refused,
    Step,
    Track,
)
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.network import LstmLayer

IDLE = ("InputLayer", "Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout",
        "ActivityRegularization", "Masking")  # fmt: skip
"""Do nothing once the network is trained; nothing is padded on the device."""
REASONS = {
    "Lambda": "a Lambda layer is a program, and programs in checkpoints are never run",
    "Bidirectional": "it needs the end of the utterance first, so it cannot stream",
    "LayerNormalization": "its statistics change with every step, so it cannot be folded into "
    "the weights beside it, and the device's LSTM has none",
    "GRU": "only LSTM can be converted",
    "SimpleRNN": "only LSTM can be converted",
}
HINTS = dict.fromkeys(("Bidirectional", "GRU", "SimpleRNN"), "Train an LSTM of one direction.")
NORMALIZATION_EPSILON = 1e-7
"""The least deviation that Keras's Normalization divides by (keras.backend.epsilon())."""
MASKING_NOTE = "Masking was dropped: the device never pads"
CELL_OUTPUT = 2
"""Of an LSTM that gives its states: all or the last hidden state, the last one, the cell's."""
MAX_DEPTH = 1000


def contents(model: Model, options: Options, format_name: str) -> Contents:
    """The tracks of a model whose layers hold their arrays."""
    by_name = {layer.name: layer for layer in model.layers}
    flat = _flat(model)
    steps = {layer.name: _steps(layer, 1 if layer.name in flat else 2) for layer in model.layers}
    weighers: list[Track] = []
    tracks = [_track(output, by_name, steps, weighers) for output in model.outputs]
    tracks += weighers
    notes = (MASKING_NOTE,) if any(one.kind == "Masking" for one in model.layers) else ()
    problems = []
    if options.drop:
        problems.append(
            (f"--drop names {', '.join(options.drop)}", "Nothing is left over in a Keras model.")
        )
    on_way = {step for track in tracks for step in track}
    others = tuple(step for one in steps.values() for step in one if step not in on_way)
    return Contents(format_name, tuple(tracks), others, tuple(problems), notes)


def _flat(model: Model) -> set[str]:
    """Layers that read one step, whose features are the axis 1 and not 2."""
    flat: set[str] = set()
    gives_one: set[str] = set()
    for layer in model.layers:
        if any(parent in gives_one or number for parent, number in layer.parents[:1]):
            flat.add(layer.name)
        is_last = layer.kind in ("LSTM", "RNN") and not layer.config.get("return_sequences")
        if layer.name in flat or is_last or layer.kind.startswith("Global") or layer.kind == "Dot":
            gives_one.add(layer.name)
    return flat


def _track(
    output: tuple[str, int],
    by_name: dict[str, Layer],
    steps: dict[str, list[Step]],
    weighers: list[Track],
) -> Track:
    """The layers from the input to one output; what weighs the steps goes to ``weighers``."""
    pieces: list[list[Step]] = []
    place = output
    while len(pieces) < MAX_DEPTH:
        name, number = place
        if name not in by_name:
            raise CheckpointError(f"the model has no layer {name!r}", RESAVE)
        layer = by_name[name]
        pieces.append(_output(layer, steps[name], number))
        if weighed := _weighed_sum(layer, by_name):
            logits, place = weighed
            weighers.append(_track(logits, by_name, steps, weighers))
            pieces[-1] = [Step(name, layer.kind, Pool("attention"))]
            continue
        if len(layer.parents) > 1:
            reason = f"the layer {name!r} ({layer.kind}) reads from several layers"
            hint = (
                "The device runs one stack of layers: end the network before it with "
                "--embedding LAYER, or train it without."
            )
            # what comes before it is followed along its first input, to show what there is
            pieces[-1] = [Step(name, layer.kind, Refused(reason, hint))]
        if not layer.parents:
            break
        place = layer.parents[0]
    return tuple(step for piece in pieces[::-1] for step in piece)


def _weighed_sum(
    layer: Layer, by_name: dict[str, Layer]
) -> tuple[tuple[str, int], tuple[str, int]] | None:
    """What gives the logits and what the steps, where a Dot sums steps by their softmax."""
    config = layer.config
    if layer.kind != "Dot" or config.get("axes") not in (1, [1, 1]) or config.get("normalize"):
        return None
    for weights, weighed in (layer.parents, layer.parents[::-1]):
        softmax = by_name.get(weights[0])
        if softmax is None or softmax.kind != "Softmax" or len(softmax.parents) != 1:
            continue
        dense = by_name.get(softmax.parents[0][0])
        is_single = dense is not None and dense.settings.get("units") == 1
        if softmax.config.get("axis") in (1, -2, [1], [-2]) and is_single:
            return softmax.parents[0], weighed
    return None


def _output(layer: Layer, steps: list[Step], number: int) -> list[Step]:
    """The steps of a layer up to one of its outputs."""
    lstm = [step for step in steps if isinstance(step.form, Lstm)]
    if not lstm or number == 0:
        return steps
    if number == CELL_OUTPUT:
        reason = f"the cell state of {layer.name!r} is read"
        return [*lstm, Step(layer.name, layer.kind, Refused(reason, "Read its hidden state."))]
    return [*lstm, _last(layer)]


def _last(layer: Layer) -> Step:
    return Step(layer.name, layer.kind, Pool("last"))


def _steps(layer: Layer, last_axis: int) -> list[Step]:
    """The steps of a layer: itself, and what its settings add to it."""
    kind, config = layer.kind, layer.config
    axis = config.get("axis", -1)
    on_features = axis in (-1, last_axis, [-1], [last_axis])
    if not layer.module.startswith("keras"):
        return [_refused(layer, "is a class of its own", "Use the layers that Keras has.")]
    if layer.inner_kind in ("LSTM", "LSTMCell") and kind in ("LSTM", "RNN"):
        made = _lstm(layer)
        return made if config.get("return_sequences") or len(made) > 1 else [*made, _last(layer)]
    if layer.inner_kind == "Dense":
        return [Step(layer.name, kind, _dense(layer)), *_activation(layer, layer.settings)]
    form: Form | None = None
    match kind:
        case _ if kind in IDLE or (kind == "Flatten" and last_axis == 1):
            form = Plain("idle")
        case "BatchNormalization" if on_features:
            form = _batch_norm(layer)
        case "Normalization" if on_features:
            form = _normalization(layer)
        case "GlobalAveragePooling1D" if config.get("data_format") != "channels_first":
            form = Pool("mean")
        case "UnitNormalization" if on_features:
            form = Plain("unit")
        case "Softmax" if on_features:
            form = Plain("softmax")
        case "Activation":
            return _activation(layer, config)
        case "ReLU" if not any(
            config.get(name) for name in ("max_value", "negative_slope", "threshold")
        ):
            form = Plain("relu")
    if form is not None:
        return [Step(layer.name, kind, form)]
    reason = REASONS.get(kind, "only LSTM and dense layers can be converted")
    return [_refused(layer, f"cannot be converted: {reason}", HINTS.get(kind, END_EARLIER))]


def _refused(
    layer: Layer,
    words: str,
    hint: str,
) -> Step:
    reason = f"the layer {layer.name!r} ({layer.kind}) {words}"
    return Step(layer.name, layer.kind, Refused(reason, hint))


def _activation(layer: Layer, config: dict[str, Any]) -> list[Step]:
    name = config.get("activation", "linear")
    if name == "linear":
        return []
    if name in ("relu", "softmax"):
        return [Step(layer.name, name, Plain("relu" if name == "relu" else "softmax"))]
    return [_refused(layer, f"has the activation {name!r}", "The device computes linear and relu.")]


def _lstm(layer: Layer) -> list[Step]:
    wanted = {
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "go_backwards": False,
        "time_major": False,
    }
    settings = {**layer.config, **layer.settings}
    for setting, value in wanted.items():
        if settings.get(setting, value) != value:
            words = f"has {setting}={settings[setting]!r}"
            hint = f"The fused LSTM of TFLite computes {setting}={value!r} only."
            return [_refused(layer, words, hint)]
    # Keras keeps the gate order i, f, c, o, transposed
    kernel, recurrent = _matrix(layer, "kernel"), _matrix(layer, "recurrent_kernel")
    bias = layer.arrays.get("bias", np.zeros(kernel.shape[1], np.float32))
    form = Lstm(LstmLayer(kernel.T.copy(), recurrent.T.copy(), bias))
    return [Step(layer.name, layer.kind, form)]


def _dense(layer: Layer) -> Affine:
    kernel = _matrix(layer, "kernel")
    bias = layer.arrays.get("bias", np.zeros(kernel.shape[1], np.float32))
    return Affine(kernel.T.copy(), bias)


def _batch_norm(layer: Layer) -> Affine:
    mean, variance = layer.arrays["moving_mean"], layer.arrays["moving_variance"]
    scale = layer.arrays.get("gamma", np.ones_like(mean))
    scale = scale / np.sqrt(variance + np.float32(layer.config.get("epsilon", 1e-3)))
    shift = layer.arrays.get("beta", np.zeros_like(mean)) - mean * scale
    return Affine(np.diag(scale), shift, part=True)


def _normalization(layer: Layer) -> Form:
    config = layer.config
    if config.get("invert"):
        return Refused(f"the layer {layer.name!r} undoes a normalization")
    # given by hand they stand in the settings, measured they are arrays
    given = [config.get(name) for name in ("mean", "variance")]
    found = [
        layer.arrays.get(name) if one is None else np.asarray(one, np.float32)
        for name, one in zip(("mean", "variance"), given, strict=True)
    ]
    mean, variance = found
    if mean is None or variance is None or mean.size != variance.size or mean.size < 2:
        return Refused(f"the layer {layer.name!r} holds no statistics of every feature", RESAVE)
    mean, variance = mean.reshape(-1), variance.reshape(-1)
    scale = (1 / np.maximum(np.sqrt(variance), NORMALIZATION_EPSILON)).astype(np.float32)
    return Affine(np.diag(scale), -mean * scale, part=True)


def _matrix(layer: Layer, role: str) -> Float32:
    found = layer.arrays.get(role)
    if found is None or found.ndim != 2:
        raise CheckpointError(f"the layer {layer.name!r} has no matrix {role!r}", RESAVE)
    return found
