"""The other side of ``isolation``: one task on the files of a directory.

Only here are TensorFlow, PyTorch and ONNX imported.
"""

import json
import sys
from pathlib import Path
from typing import Any

from edge_unlock_convert.errors import CheckpointError, ConversionError
from edge_unlock_convert.isolation import DISK_FULL, ERROR_NAME, REQUEST_NAME, disk_full

NETWORK_NAME, CALIBRATION_NAME, MODEL_NAME = "network.npz", "calibration.npy", "model.tflite"


def main(task: str, directory: Path) -> int:
    """Carry out ``task``; an error that has a message goes to a file for the parent."""
    request = json.loads((directory / REQUEST_NAME).read_text())
    try:
        TASKS[task](directory, request)
    except OSError as met:
        if met.errno not in DISK_FULL:
            raise
        return _tell(directory, ConversionError(*disk_full(met)))
    except ConversionError as error:
        return _tell(directory, error)
    return 0


def _tell(directory: Path, error: ConversionError) -> int:
    kind = "checkpoint" if isinstance(error, CheckpointError) else "conversion"
    told = {"kind": kind, "message": str(error), "hint": error.hint}
    (directory / ERROR_NAME).write_text(json.dumps(told))
    return 1


def _read(directory: Path, request: dict[str, Any]) -> None:
    from edge_unlock_convert import checkpoint

    options = checkpoint.Options(**request["options"])
    checkpoint.read_here(Path(request["path"]), options).save(directory / NETWORK_NAME)


def _lower(directory: Path, request: dict[str, Any]) -> None:
    import numpy as np

    from edge_unlock_convert import lowering
    from edge_unlock_convert.network import Network

    network = Network.load(directory / NETWORK_NAME)
    calibration = np.load(directory / CALIBRATION_NAME, allow_pickle=False)
    model = lowering.lower(network, calibration, request["scheme"])
    (directory / MODEL_NAME).write_bytes(model)


TASKS = {"read": _read, "lower": _lower}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
