"""An action that runs a program."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from edge_unlock.actions.action import require_acceptance
from edge_unlock.closing import Closing
from edge_unlock.errors import ActionError
from edge_unlock.scoring.recognizer import Decision

GRACE_S = 2.0
"""A program that took too long has so long to put things in order."""

CLOSING_GRACE_S = 0.5
"""So long it has when we are to end ourselves, which is to take a second at most."""

ENVIRONMENT = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_ALL", "TZ", "TMPDIR"),
    *("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY"),
)
"""What a program gets to know of our environment: what opens a desktop, and no secrets."""


class Command(Closing):
    """Runs a program on an acceptance: an argument list, no shell, nothing on its stdin.

    It is the leader of a process group of its own. If it takes longer than ``timeout_s``, is
    interrupted or closed, the whole group is asked to end (SIGTERM) and killed ``GRACE_S`` (closed:
    ``CLOSING_GRACE_S``) later, so that a script can still release a relay. What it
    started goes with it, unless that has left the group (setsid): a service's control group is for
    such. Of the environment it gets ``ENVIRONMENT``, and no secrets or settings of ours.

    The program finds who it was in ``EDGE_UNLOCK_USER`` and, with ``show_score``, the score in
    ``EDGE_UNLOCK_SCORE``. Where our standard output is ``reserved`` for something else, what the
    program prints goes to standard error.

    Raises:
        ActionError: there is no such program, or it cannot be run.
    """

    name = "command"

    def __init__(
        self,
        arguments: Sequence[str],
        timeout_s: float,
        *,
        reserved: bool = False,
        show_score: bool = False,
    ) -> None:
        self._arguments = list(arguments)
        self._timeout_s = timeout_s
        self._reserved = reserved
        self._show_score = show_score
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._starting = threading.Lock()  # none is started once it is closed
        _check(self._arguments[0])

    def run(self, decision: Decision) -> None:
        """Run the program and wait for its end.

        Raises ``ActionError`` if it cannot be started, fails, takes too long or is stopped by
        ``close``, and for a decision that is no acceptance.
        """
        require_acceptance(decision)
        name = self._arguments[0]
        process = self._start(decision)
        try:
            status = process.wait(self._timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ActionError(
                f"{name} was stopped after {self._timeout_s:g} s",
                "Let it return sooner, or raise its timeout in config.toml.",
                outcome="timed out",
            ) from error
        finally:
            if process.returncode is None:
                _stop(process, GRACE_S)
        if self._closed:
            raise ActionError(f"{name} was stopped", "It was still running.", outcome="stopped")
        if status:
            raise ActionError(
                f"{name} failed with status {status}", "Run it by hand to see why.", status=status
            )

    def close(self) -> None:
        """Stop the program, if it runs, and start none from now on."""
        with self._starting:
            self._closed = True
        if self._process is not None:
            _stop(self._process, CLOSING_GRACE_S)

    def _start(self, decision: Decision) -> "subprocess.Popen[bytes]":
        name = self._arguments[0]
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        environment["EDGE_UNLOCK_USER"] = decision.user or ""
        if self._show_score:
            environment["EDGE_UNLOCK_SCORE"] = f"{decision.score:.4f}"
        output = sys.__stderr__ if self._reserved else sys.__stdout__
        try:
            with self._starting:
                if self._closed:
                    raise ActionError(f"{name} is not started any more", outcome="stopped")
                self._process = subprocess.Popen(
                    self._arguments,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output or subprocess.DEVNULL,  # None: it is closed
                    start_new_session=True,
                )
        except OSError as error:
            _check(name)  # it may have changed since, and then this knows better
            raise ActionError(
                f"cannot run {name}: {error.strerror}", "Run it by hand to see why."
            ) from error
        return self._process


def _stop(leader: "subprocess.Popen[bytes]", grace_s: float) -> None:
    """End a process group: by SIGTERM, and by SIGKILL whatever is left of it."""
    if leader.poll() is not None:
        return  # its number may be another's by now
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        leader.wait(grace_s)
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
    leader.wait()


def _check(name: str) -> None:
    """Raise ActionError with the right hint for a program that certainly cannot be run."""
    path = shutil.which(name, os.F_OK)
    if path is None:
        hint = "Check the spelling, or give the program's full path."
        if any(character.isspace() for character in name):
            hint = "No shell takes it apart: leave out the quotes around program and arguments."
        elif Path(name).is_dir():
            hint = "This is a directory: give the path of a program."
        elif Path(name).exists():
            hint = f"To run the one in this directory, write ./{name}"
        raise ActionError(f"there is no program {name!r}", hint)
    if shutil.which(name) is None:
        raise ActionError(f"{name} must not be executed", f"Allow it: chmod +x {path}")
    try:
        with Path(path).open("rb") as program:
            start = program.read(256)
    except OSError:
        return  # a program may be run without being readable
    if not start.startswith(b"#!") and b"\0" not in start:
        raise ActionError(
            f"{name} does not say what it is to be run with",
            "Begin it with a line such as #!/bin/sh",
        )
    if start.startswith(b"#!"):
        interpreter = start[2:].split(maxsplit=1)[:1]
        if interpreter and not os.access(interpreter[0], os.X_OK):
            raise ActionError(
                f"{name} is to be run with {os.fsdecode(interpreter[0])}, which cannot be run",
                "Correct its first line.",
            )
