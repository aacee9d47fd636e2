"""Runs a converted network on whole utterances, layer outputs included."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edge_unlock.encoder.encoder import runtime
from edge_unlock.encoder.features import Float32
from edge_unlock_convert.network import Outputs
from edge_unlock_convert.quantization import flatbuffer


def run(model: bytes, utterances: Sequence[Float32], embedding_size: int) -> Iterator[Outputs]:
    """What the TFLite runtime gives for utterances, each (T, F): as ``network.run`` does.

    The whole utterance is one call, which gives the same numbers as the device's call a step
    (the state is carried exactly either way).
    """
    graph = flatbuffer.read(model)
    hidden = [operator.outputs[0] for operator in graph.lstm_operators]
    interpreter = _interpreter(model)
    source = interpreter.get_input_details()[0]
    outputs = {int(one["shape"][-1]): one["index"] for one in interpreter.get_output_details()}
    for steps in utterances:
        interpreter.resize_tensor_input(source["index"], (1, *steps.shape))
        interpreter.allocate_tensors()
        interpreter.reset_all_variables()
        interpreter.set_tensor(source["index"], _quantize(steps[None], source))
        interpreter.invoke()
        details = {one["index"]: one for one in interpreter.get_tensor_details()}

        def values(index: int, details: dict[int, Any] = details) -> Float32:
            real: Float32 = _dequantize(interpreter.get_tensor(index), details[index])[0]
            return real

        yield Outputs(
            values(outputs[embedding_size]),
            values(outputs[1])[:, 0] if 1 in outputs and len(outputs) > 1 else None,
            tuple(values(index) for index in hidden),
        )


def _interpreter(model: bytes) -> Any:
    """An interpreter with the device's kernels: delegates round in other ways."""
    library = runtime()
    return library.Interpreter(
        model_content=model,
        num_threads=1,
        experimental_op_resolver_type=library.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )


def _quantize(values: Float32, detail: dict[str, Any]) -> Any:
    if detail["dtype"] != np.int8:
        return values.astype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    return np.clip(np.rint(values / scale) + zero_point, -128, 127).astype(np.int8)


def _dequantize(values: Any, detail: dict[str, Any]) -> Float32:
    if detail["dtype"] != np.int8:
        return np.asarray(values, np.float32)
    scale, zero_point = detail["quantization"]
    real: Float32 = ((values.astype(np.float32) - zero_point) * scale).astype(np.float32)
    return real
