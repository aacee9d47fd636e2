"""The other side of ``isolation``: one task on the files of a directory.

Only here are PyTorch, ONNX and HDF5 imported to read a checkpoint.
"""

import json
import sys
import traceback
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

INSTALL_HINT = "pip install 'edge-unlock[convert]'"
REASON_CHARACTERS = 200
"""Of the message of another library, which may quote the file."""


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
    except ImportError as error:
        return _tell(directory, ConversionError(str(error), INSTALL_HINT))
    except Exception as error:  # shapes that do not fit each other break arithmetic in any way
        traceback.print_exc()
        return _tell(directory, _malformed(request["path"], error))
    return 0


def _malformed(path: str, error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return CheckpointError(
        f"{path} is malformed, or its layers do not fit each other: {reason[:REASON_CHARACTERS]}",
        "Save or export it again. EDGE_UNLOCK_DEBUG=1 shows where that was found.",
    )


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
