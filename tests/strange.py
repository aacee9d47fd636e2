"""Files that nobody expects where a file is read."""

import os
import socket
from pathlib import Path

KINDS = ("fifo", "directory", "device", "huge", "latin-1", "socket")


def make_strange(path: Path, kind: str) -> Path:
    """Put one of ``KINDS`` at ``path``; returns its path."""
    if kind == "device":
        return Path("/dev/zero")
    if kind == "fifo":
        os.mkfifo(path, 0o600)
    elif kind == "directory":
        path.mkdir(mode=0o700)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            here = Path.cwd()
            os.chdir(path.parent)  # for names of sockets are short
            try:
                listening.bind(path.name)
            finally:
                os.chdir(here)
    else:
        path.write_bytes("\u00e9".encode("latin-1") if kind == "latin-1" else b"")
        path.chmod(0o600)
        if kind == "huge":
            os.truncate(path, 2**40)  # without taking room
    return path
