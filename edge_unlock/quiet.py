"""Keeps the chatter of libraries written in C off the terminal."""

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

STDERR: Final = 2

_LOGGER = logging.getLogger(__name__)
_LOCK = threading.Lock()  # the descriptor belongs to the whole process


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Divert file descriptor 2 and log at debug level what came meanwhile, from all threads.

    ALSA, JACK and PortAudio print a page of harmless complaints from C whenever devices
    are listed or opened, and PortAudio's cannot be switched off; nor can the line by which
    ai-edge-litert tells that it starts. They are kept in memory and nothing is lost: ``logging``
    at debug level shows them afterwards. Without a standard error there is nothing to divert.
    """
    with _LOCK, os.fdopen(os.memfd_create("stderr"), "r+b") as chatter:
        _flush()
        saved = _duplicate()
        if saved is None:
            yield
            return
        os.dup2(chatter.fileno(), STDERR)
        try:
            yield
        finally:
            _flush()
            os.dup2(saved, STDERR)
            os.close(saved)
            chatter.seek(0)
            for line in chatter.read().decode(errors="replace").splitlines():
                _LOGGER.debug("%s", line)


def _duplicate() -> int | None:
    try:
        return os.dup(STDERR)
    except OSError:  # it is closed
        return None


def _flush() -> None:
    if sys.stderr is not None and not sys.stderr.closed:
        sys.stderr.flush()
