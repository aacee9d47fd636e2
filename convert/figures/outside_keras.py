"""Makes LSTM encoders with the Keras that is installed, and with tf2onnx where that is.

python convert/figures/outside_keras.py FOLDER
"""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from outside_cases import INPUTS, SIZE, SPEAKERS, STEPS, UNITS, Case, record


def models(folder: Path, steps: Any) -> Iterator[Case]:
    """Models as people build them, the encoder within a classifier among them."""
    version = f"Keras {keras.__version__}"
    prefix = f"keras{keras.__version__.partition('.')[0]}"

    def stack(*others: Any) -> Any:
        return keras.Sequential([keras.Input((None, INPUTS)), *others])

    def made(kind: str, model: Any, what: str, embed: Callable[[Any], Any] | None = None) -> Case:
        file = f"{prefix}_{kind}"
        model.save(folder / file)
        np.save(folder / f"{file}.npy", np.asarray((embed or model)(steps))[0])
        return Case(file, f"{version}, {what}")

    keras.utils.set_random_seed(0)
    plain = stack(layers.LSTM(UNITS, return_sequences=True), layers.LSTM(UNITS), layers.Dense(SIZE))
    for kind, what in (("plain.keras", ".keras"), ("plain.h5", ".h5")):
        yield made(kind, plain, what)
    if prefix == "keras2":
        yield made("saved_model", plain, "SavedModel")
    encoder = stack(layers.LSTM(UNITS), layers.Dense(SIZE))
    softmax = layers.Dense(SPEAKERS, activation="softmax")
    yield made("softmax.keras", stack(*encoder.layers, softmax), "softmax classifier", encoder)
    whole = stack(encoder, layers.Dropout(0.2), layers.Dense(SPEAKERS, activation="softmax"))
    yield made("nested.keras", whole, "nested model, softmax", encoder)
    scaling = layers.Normalization()
    scaling.adapt(np.random.default_rng(1).normal(size=(20, STEPS, INPUTS)) * 3 + 1)
    folded = stack(scaling, layers.LSTM(UNITS), layers.BatchNormalization(), layers.Dense(SIZE))
    yield made("norm.keras", folded, "Normalization and BatchNormalization")
    source = keras.Input((None, INPUTS))
    hidden = layers.LSTM(UNITS, return_sequences=True)(source)
    weights = layers.Softmax(axis=1)(layers.Dense(1)(hidden))
    pooled = layers.Flatten()(layers.Dot(axes=1)([weights, hidden]))
    yield made("attention.keras", keras.Model(source, layers.Dense(SIZE)(pooled)), "attention")
    cell = stack(layers.RNN(layers.LSTMCell(UNITS)), layers.Dense(SIZE), layers.UnitNormalization())
    yield made("cell.keras", cell, "RNN(LSTMCell), UnitNormalization")
    uneven = stack(layers.LSTM(UNITS), layers.LayerNormalization(), layers.Dense(SIZE))
    yield made("layernorm.keras", uneven, "LayerNormalization")
    plain.save_weights(folder / f"{prefix}_plain.weights.h5")
    yield Case(f"{prefix}_plain.weights.h5", f"{version}, weights alone")
    if prefix == "keras3" and importlib.util.find_spec("tf2onnx"):
        import tensorflow as tf
        import tf2onnx

        for name, length in (("tf2onnx", None), ("tf2onnx_loop", STEPS)):
            signature = [tf.TensorSpec((1 if length else None, length, INPUTS), tf.float32)]
            path = str(folder / f"{name}.onnx")
            function = tf.function(plain.call)
            tf2onnx.convert.from_function(function, signature, opset=17, output_path=path)
            np.save(folder / f"{name}.onnx.npy", np.asarray(plain(steps))[0])
            size = "any length" if length is None else "fixed length, hence a loop"
            yield Case(f"{name}.onnx", f"{version}, tf2onnx, {size}")


if __name__ == "__main__":
    record(models)
