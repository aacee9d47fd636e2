"""A ``Network`` to TFLite: the one path for every checkpoint. Runs in the worker only."""

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
import tensorflow as tf

from edge_unlock.features import Float32
from edge_unlock_convert.errors import ConversionError
from edge_unlock_convert.network import Dense, LstmLayer, Network

Scheme = Literal["int8", "int16x8", "dynamic", "float32"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)


def lower(network: Network, calibration: Float32, scheme: Scheme) -> bytes:
    """Convert to a TFLite flatbuffer with a batch of 1.

    ``calibration`` float32 (N, T, F) is network input that shows the range of every
    activation; its length T is that of the model's input, which the runtime may resize.
    The outputs are the embedding of every step and, with attention, one logit a step.
    """
    model = _keras_model(network, calibration.shape[1])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if scheme != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if scheme in ("int8", "int16x8"):

        def utterances() -> Iterator[list[Float32]]:
            for steps in calibration:
                yield [steps[None]]

        converter.representative_dataset = utterances
    sets = tf.lite.OpsSet
    if scheme == "int8":
        converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    if scheme == "int16x8":
        converter.target_spec.supported_ops = [
            sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
    try:
        return bytes(converter.convert())
    except RuntimeError as error:
        if "16x8-bit not yet supported" not in str(error):
            raise
        raise ConversionError(
            f"TensorFlow {tf.__version__} has no int16x8 kernel for an LSTM layer",
            "Use --scheme int8: its cell state is 16 bits wide already.",
        ) from error


def _keras_model(network: Network, steps: int) -> tf.keras.Model:
    inputs = tf.keras.Input(batch_shape=(1, steps, network.input_size))
    hidden = inputs
    for layer in network.layers:
        lstm = tf.keras.layers.LSTM(layer.units, return_sequences=True)
        hidden = lstm(hidden)
        lstm.set_weights(_keras_lstm_weights(layer))
    embedding = hidden
    for dense in network.embedding:
        embedding = _apply(dense, embedding)
    outputs = [embedding]
    if network.attention is not None:
        outputs.append(_apply(network.attention, hidden))
    return tf.keras.Model(inputs, outputs)


def _keras_lstm_weights(layer: LstmLayer) -> list[Float32]:
    """Keras keeps the same gate order (i, f, c, o), transposed."""
    return [layer.input_weights.T, layer.recurrent_weights.T, layer.bias]


def _apply(dense: Dense, inputs: tf.Tensor) -> tf.Tensor:
    layer = tf.keras.layers.Dense(len(dense.bias), activation=dense.activation)
    outputs = layer(inputs)
    layer.set_weights([np.ascontiguousarray(dense.weights.T), dense.bias])
    return outputs
