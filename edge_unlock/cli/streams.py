"""The standard streams, made fit for what shells, services and terminals hand over."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

STDIN, STDOUT, STDERR = range(3)


@contextmanager
def prepared() -> Iterator[None]:
    """See that all three are open, and that printing a name or a full disk is no crash."""
    _open_missing()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # a name that the terminal's encoding lacks must not undo a decision
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        _drop_unwritten()


def _open_missing() -> None:
    """Open what is closed, as if it led to /dev/null.

    Else the next file that is opened gets its number, and what is printed lands in the vault.
    """
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    null = Path(os.devnull)
    sys.stdin = sys.stdin or null.open(encoding="utf-8")
    sys.stdout = sys.stdout or null.open("w", encoding="utf-8")
    sys.stderr = sys.stderr or null.open("w", encoding="utf-8")


def _drop_unwritten() -> None:
    """Forget what a full disk did not take: Python would try again at its end, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
