"""What happens when somebody is recognised."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from edge_unlock.errors import ActionError
from edge_unlock.recognizer import Decision

GRACE_S = 2.0
"""A program that is to end has so long to put things in order."""

ENVIRONMENT = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_ALL", "TZ", "TMPDIR"),
    *("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY"),
)
"""What a program gets to know of our environment: what opens a desktop, and no secrets."""


class Command:
    """Runs a program on an acceptance: an argument list, no shell, nothing on its stdin.

    It is the leader of a process group of its own. If it takes longer than ``timeout_s``, or is
    interrupted, the whole group is asked to end (SIGTERM) and killed ``GRACE_S`` later, so that a
    script can still release a relay, and nothing it started stays behind. Of the environment it
    gets ``ENVIRONMENT``, and no secrets or settings of ours.

    The program finds who it was in ``EDGE_UNLOCK_USER`` and, with ``show_score``, the score in
    ``EDGE_UNLOCK_SCORE``. Where our standard output is ``reserved`` for something else, what the
    program prints goes to standard error.

    Raises:
        ActionError: there is no such program, or it cannot be run.
    """

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
        _check(self._arguments[0])

    def run(self, decision: Decision) -> None:
        """Run the program and wait for its end.

        Raises ``ActionError`` if it cannot be started, fails or takes too long, and for a
        decision that is no acceptance.
        """
        if not decision.is_accepted:
            raise ActionError("only an acceptance may unlock", "This is a defect: report it.")
        name = self._arguments[0]
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        environment["EDGE_UNLOCK_USER"] = decision.user or ""
        if self._show_score:
            environment["EDGE_UNLOCK_SCORE"] = f"{decision.score:.4f}"
        output = sys.__stderr__ if self._reserved else sys.__stdout__
        try:
            process = subprocess.Popen(
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
        try:
            status = process.wait(self._timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ActionError(
                f"{name} was stopped after {self._timeout_s:g} s",
                "Let it return sooner, or raise action_timeout_s.",
                outcome="timed out",
            ) from error
        finally:
            if process.returncode is None:
                _stop(process)
        if status:
            raise ActionError(
                f"{name} failed with status {status}", "Run it by hand to see why.", status=status
            )


def _stop(leader: "subprocess.Popen[bytes]") -> None:
    """End a process group: by SIGTERM, and by SIGKILL whatever is left of it."""
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        leader.wait(GRACE_S)
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
