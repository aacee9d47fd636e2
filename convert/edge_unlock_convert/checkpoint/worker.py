"""The other side of ``isolation``: one task on the files of a directory.

Only here are PyTorch, ONNX and HDF5 imported to read a checkpoint.
"""

import json
import sys
from pathlib import Path
from typing import Any

from edge_unlock_convert.checkpoint.isolation import (
    DESCRIPTION_NAME,
    DISK_FULL,
    ERROR_NAME,
    NETWORK_NAME,
    REQUEST_NAME,
    disk_full,
)
from edge_unlock_convert.errors import CheckpointError, ConversionError


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


def _describe(directory: Path, request: dict[str, Any]) -> None:
    from edge_unlock_convert.checkpoint import Options, description

    found = description.describe_here(Path(request["path"]), Options(**request["options"]))
    (directory / DESCRIPTION_NAME).write_bytes(found.to_json())


TASKS = {"read": _read, "describe": _describe}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
