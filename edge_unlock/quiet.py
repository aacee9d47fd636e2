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
    """Divert file descriptor 2 and log at debug level what came meanwhile.

    ALSA, JACK and PortAudio print a page of harmless complaints from C whenever devices
    are listed or opened, and PortAudio's cannot be switched off; nor can the line by which a
    TFLite runtime tells that it starts. They are kept in memory and nothing is lost: ``logging``
    at debug level shows them afterwards.
    """
    with _LOCK, os.fdopen(os.memfd_create("stderr"), "r+b") as chatter:
        if sys.stderr is not None:
            sys.stderr.flush()
        saved = os.dup(STDERR)
        os.dup2(chatter.fileno(), STDERR)
        try:
            yield
        finally:
            if sys.stderr is not None:
                sys.stderr.flush()
            os.dup2(saved, STDERR)
            os.close(saved)
            chatter.seek(0)
            for line in chatter.read().decode(errors="replace").splitlines():
                _LOGGER.debug("%s", line)
