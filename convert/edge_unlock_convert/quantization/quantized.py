"""Runs a converted network on whole utterances, layer outputs included."""

from collections.abc import Iterator, Sequence

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock.encoder.network import Network, Tensor, in_order, interpreter
from edge_unlock_convert.network import Outputs
from edge_unlock_convert.quantization import flatbuffer
from edge_unlock_convert.quantization.flatbuffer import Graph


def run(model: bytes, utterances: Sequence[Float32], embedding_size: int) -> Iterator[Outputs]:
    """What the TFLite runtime gives for utterances, each (T, F): as ``network.run`` does."""
    graph = flatbuffer.read(model)
    run_kind = _run_fused if graph.lstm_operators else _run_unfused
    return run_kind(model, graph, utterances, embedding_size)


def _run_unfused(
    model: bytes, graph: Graph, utterances: Sequence[Float32], embedding_size: int
) -> Iterator[Outputs]:
    attention = graph.has_logit
    network = Network(model, graph.width, embedding_size, attention=attention)
    for utterance in utterances:
        network.reset()
        steps, hidden = [], []
        for features in utterance:
            steps.append(network.step(features))
            hidden.append(network.states[::2])  # hidden states; between them lie cell states
        yield Outputs(
            np.array([step.embedding for step in steps], np.float32),
            np.array([step.logit for step in steps], np.float32) if attention else None,
            tuple(map(np.stack, zip(*hidden, strict=True))),
        )


def _run_fused(
    model: bytes, graph: Graph, utterances: Sequence[Float32], embedding_size: int
) -> Iterator[Outputs]:
    """The whole utterance is one call, which gives the same numbers as the device's call a step
    (the state is carried exactly either way).
    """
    hidden = [operator.outputs[0] for operator in graph.lstm_operators]
    running = interpreter(model, graph.width, experimental_preserve_all_tensors=True)
    source = Tensor(running.get_input_details()[0])
    embedding, *logit = in_order(
        [Tensor(detail) for detail in running.get_output_details()], embedding_size
    )
    for steps in utterances:
        running.resize_tensor_input(source.index, (1, *steps.shape))
        running.allocate_tensors()
        running.reset_all_variables()
        running.set_tensor(source.index, source.quantize(steps[None]))
        running.invoke()
        tensors = {one["index"]: Tensor(one) for one in running.get_tensor_details()}

        def values(index: int, tensors: dict[int, Tensor] = tensors) -> Float32:
            real: Float32 = tensors[index].dequantize(running.get_tensor(index))[0]
            return real.astype(np.float32)

        yield Outputs(
            values(embedding.index),
            values(logit[0].index)[:, 0] if logit else None,
            tuple(values(index) for index in hidden),
        )
