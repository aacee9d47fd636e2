"""ONNX models with LSTM nodes, as PyTorch and others export them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from edge_unlock_convert.checkpoint.onnx_constants import Constants
from edge_unlock_convert.checkpoint.onnx_graph import Graph
from edge_unlock_convert.checkpoint.options import Options
from edge_unlock_convert.checkpoint.step import Contents, Refused
from edge_unlock_convert.errors import CheckpointError


def read(path: Path, options: Options) -> Contents:
    """The layers of an ONNX model. Raises ``CheckpointError`` when the file cannot be read."""
    model = _load(path)
    constants = Constants(model)
    graph = Graph(model.graph, constants)
    tracks = (*graph.walk(), *graph.weighers)
    problems = []
    left = _left(model.graph, constants)
    unknown = [name for name in options.drop if name not in left]
    if unknown:
        problems.append(
            (
                f"--drop names {', '.join(unknown)}, which is not left over",
                f"What is left over: {', '.join(left) or 'nothing'}.",
            )
        )
    left = [name for name in left if name not in options.drop]
    refused = any(isinstance(step.form, Refused) for track in tracks for step in track)
    if left and not refused:
        problems.append(
            (
                f"the model holds weights that no layer uses: {', '.join(left)}",
                "If the network does not need them, name each with --drop.",
            )
        )
    return Contents("ONNX", tracks, problems=tuple(problems), notes=tuple(graph.notes))


def _left(graph: Any, constants: Constants) -> list[str]:
    """Weights that nothing was made of."""
    found = []
    for one in graph.initializer:
        values = constants.get(one.name)
        if one.name in constants.used or values is None or values.dtype.kind != "f":
            continue
        if values.size > 1 and np.any(values):
            found.append(one.name)
    return found


def _load(path: Path) -> Any:
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged or no ONNX model", "It may be cut short: copy it again."
        ) from error
    folder = path.parent.resolve()
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                file = (folder / entry.value).resolve()
                if not file.is_relative_to(folder) or not file.is_file():
                    raise CheckpointError(
                        f"{path} keeps its weights in {entry.value!r}, which is not beside it",
                        "Weights are read from the folder of the model only.",
                    )
    try:
        onnx.external_data_helper.load_external_data_for_model(model, str(folder))
    except (onnx.checker.ValidationError, OSError, ValueError) as error:
        raise CheckpointError(
            f"the weights beside {path} cannot be read", "Copy the model again."
        ) from error
    return model
