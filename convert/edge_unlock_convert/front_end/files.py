"""Front ends on disk, and by name."""

from pathlib import Path
from typing import Any

import msgspec

from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.front_end.description import Description
from edge_unlock_convert.front_end.device import FrontEnd
from edge_unlock_convert.front_end.ready import READY, describe

FRONT_END_NAME = "front_end.json"
MAX_BYTES = 2**20


def find_front_end(checkpoint: Path, given: str | None) -> FrontEnd | Description | None:
    """The front end given, by name or as a file, or the file beside the checkpoint, or None.

    Raises ``CheckpointError`` when it is missing or malformed, and names the field.
    """
    if given is not None:
        return READY.get(given) or _read(Path(given))
    beside = (checkpoint if checkpoint.is_dir() else checkpoint.parent) / FRONT_END_NAME
    return _read(beside) if beside.exists() else None


def read_front_end(path: Path) -> FrontEnd:
    """The device's front end in a ``front_end.json`` that training wrote.

    Raises ``CheckpointError`` when it is missing or malformed.
    """
    found = _read(path)
    if isinstance(found, Description):
        raise CheckpointError(
            f"{path} describes features of another origin", "Convert such a network by quantize."
        )
    return found


def _read(path: Path) -> FrontEnd | Description:
    try:
        with path.open("rb") as file:
            fields = msgspec.json.decode(file.read(MAX_BYTES), type=dict[str, Any])
        if "kind" in fields or "like" in fields:
            return describe(fields)
        return msgspec.convert(fields, FrontEnd)
    except OSError as error:
        raise CheckpointError(
            f"cannot read {path}: {error.strerror}",
            f"Give the checkpoint's directory; as --front-end a file, or {', '.join(READY)}.",
        ) from error
    except (ValueError, RecursionError) as error:  # of msgspec, of UTF-8, of the fields
        raise CheckpointError(
            f"{path} is no front end: {error}",
            'It has the fields of "Front ends" in convert/README.md, or those that training wrote.',
        ) from error
