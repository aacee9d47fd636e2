"""Reads checkpoints with the code of others (PyTorch, ONNX, HDF5) in a process of its own.

A reader that crashes or is killed must end in an error message, and a hostile checkpoint must
not reach the memory of this process.
"""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_unlock_convert.errors import CheckpointError, ConversionError
from edge_unlock_convert.terminal import printable

MEMORY_LIMIT_BYTES = 12 * 2**30
"""Address space of a worker; its libraries reserve several times of what they use."""
TIME_LIMIT_S = 1800.0
REQUEST_NAME, ERROR_NAME, LOG_NAME = "request.json", "error.json", "worker.log"
NETWORK_NAME, DESCRIPTION_NAME = "network.npz", "description.json"
"""What a worker leaves in its directory."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run_worker(task: str, directory: Path, request: dict[str, Any] | None = None) -> None:
    """Run a task of ``edge_unlock_convert.checkpoint.worker`` on the files in ``directory``.

    Raises the error that the worker met, or ``ConversionError`` when it crashed, was killed
    or took longer than ``TIME_LIMIT_S``.
    """
    (directory / REQUEST_NAME).write_text(json.dumps(request or {}))
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",  # one path for everybody, and no GPU start-up
    }
    command = [sys.executable, "-m", "edge_unlock_convert.checkpoint.worker", task, str(directory)]
    log_path = directory / LOG_NAME
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            preexec_fn=_limit_memory,  # noqa: PLW1509  # this process starts no threads before
        )
        try:
            status = process.wait(TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise ConversionError(
                f"the {task} worker did not finish within {TIME_LIMIT_S:.0f} s",
                "Save the weights alone, or use a faster machine.",
            ) from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if status == 0:
        return
    told_all = log_path.read_text(errors="replace")
    if os.environ.get("EDGE_UNLOCK_DEBUG") == "1":
        sys.stderr.write(told_all)
    error_path = directory / ERROR_NAME
    if error_path.exists() and error_path.stat().st_size:
        told = json.loads(error_path.read_text())
        kind = CheckpointError if told["kind"] == "checkpoint" else ConversionError
        # one line each, whatever names the checkpoint has
        raise kind(printable(told["message"]), printable(told["hint"]))
    if not os.statvfs(directory).f_bavail:
        raise ConversionError(*disk_full(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    raise _crash(task, status, told_all)


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary directory for the files that go to a worker and come back.

    Raises ``ConversionError`` when the disk is full there.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="edge-unlock-") as name:
            yield Path(name)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise ConversionError(*disk_full(error)) from error


def disk_full(error: OSError) -> tuple[str, str]:
    """Message and hint for a scratch directory that cannot take more."""
    return (
        f"cannot write temporary files in {tempfile.gettempdir()}: {error.strerror}",
        "Make room there, or name another directory with TMPDIR.",
    )


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))


def _crash(task: str, status: int, log: str) -> ConversionError:
    lines = [line for line in log.splitlines() if line.strip()]
    last = lines[-1] if lines else "it said nothing"
    if status >= 0:
        return ConversionError(
            f"the {task} worker failed: {last}", "EDGE_UNLOCK_DEBUG=1 says more."
        )
    name = signal.Signals(-status).name
    hint = (
        "The machine ran out of memory: close programs."
        if name == "SIGKILL"
        else "The file is damaged, or made to crash what reads it: save it again."
    )
    return ConversionError(f"the {task} worker was ended by {name}", hint)
