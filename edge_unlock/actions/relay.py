"""An action that switches a relay on for a while."""

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress

from edge_unlock.actions.action import require_acceptance
from edge_unlock.actions.holder import FAILED, OFF, ON, PULSE
from edge_unlock.actions.line import FAKE_VARIABLE
from edge_unlock.closing import Closing
from edge_unlock.errors import ActionError
from edge_unlock.scoring.recognizer import Decision

START_S = 20.0
"""A holder has so long to get ready: on a Pi Zero with a slow card it takes seconds."""

ANSWER_S = 2.0
"""A holder that is silent for so much longer than it may be is taken for dead."""

GRACE_S = 0.3
"""It has so long to end by itself; we are to end within a second."""

ENVIRONMENT = ("PATH", "TMPDIR", FAKE_VARIABLE)


class Relay(Closing):
    """Switches a relay at GPIO line ``pin`` on for ``pulse_s`` seconds on an acceptance.

    The line is held by a process of its own, `edge_unlock.actions.holder`, from now on until
    ``close``. It is off at the start, and never on for longer than ``pulse_s`` after it was
    switched on, give or take what the system lets processes wait, when

    - this process ends in whatever way, hangs or is stopped (SIGSTOP);
    - one of the holder's two processes ends in whatever way, or this one and one of those.

    If both of those are killed at once, or the worker is stopped, this process starts another
    holder, which switches off: at once, or ``ANSWER_S`` after the pulse. If all three are killed at
    once, or the system stands still, no software switches off: the kernel of Raspberry Pi OS leaves
    a line as it was. What to do about that, the README says.

    Raises:
        ActionError: the machine has no such line, or another process holds it, or gpiozero or
            lgpio is missing.
    """

    name = "relay"

    def __init__(self, pin: int, *, active_high: bool = True, pulse_s: float = 3.0) -> None:
        self._arguments = [str(pin), "high" if active_high else "low", str(pulse_s)]
        self._pulse_s = pulse_s
        self._closed = False
        self._changing = threading.Lock()  # no holder is started once it is closed
        self._running = threading.Lock()
        self._holder = _Holder(self._arguments)
        self._holder.wait_ready()

    def run(self, decision: Decision) -> None:
        """Switch the relay on, and return when it is off again.

        Raises ``ActionError`` if that fails or ``close`` ended it, and for a decision that is no
        acceptance. However it fails, the relay is off then, or the error says that it may be on.
        """
        require_acceptance(decision)
        with self._running:
            if self._holder.has_ended:  # while nobody needed it
                self._replace()
            if self._holder.pulse(self._pulse_s):
                return
            try:
                self._replace()
            except ActionError as error:
                if self._closed:
                    raise
                raise ActionError(f"the relay may still be on: {error}", error.hint) from error
        raise ActionError(
            "the process that holds the relay died or hung, and the relay was switched off",
            "It was started anew. If this happens again, see the system's log for what ends it.",
        )

    def close(self) -> None:
        """Switch the relay off at once, and on never again."""
        with self._changing:
            self._closed = True
            self._holder.hang_up()
        with self._running:
            self._holder.end()

    def _replace(self) -> None:
        self._holder.end()
        with self._changing:
            if self._closed:
                raise ActionError("the relay was switched off", outcome="stopped")
            self._holder = _Holder(self._arguments)
        self._holder.wait_ready()


class _Holder:
    """The two processes of `holder`, and the socket that is their standard input and output."""

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments
        self._was_ready = False
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, sys.path))
        self._socket, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    # -P: it imports from the working directory only if we do
                    [sys.executable, "-P", "-m", "edge_unlock.actions.holder", *arguments],
                    env=environment,
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    start_new_session=True,  # Ctrl-C at the terminal is for us
                )
            except OSError as error:
                self._socket.close()
                raise ActionError(
                    f"cannot start the process that holds the relay: {error.strerror}",
                    "Is there memory left?",
                ) from error

    @property
    def has_ended(self) -> bool:
        """Whether the keeper is gone; the worker is, then, or will be."""
        return self._process.poll() is not None

    def wait_ready(self) -> None:
        """Wait until the line is off. Raises ``ActionError`` if it cannot be had, and ends."""
        told = self._hear(START_S)
        if told == OFF:
            self._was_ready = True
            return
        message, _, hint = self._rest().partition("\n") if told == FAILED else ("", "", "")
        self.end()
        raise ActionError(message or "the process that holds the relay did not start", hint)

    def pulse(self, pulse_s: float) -> bool:
        """Whether the line was on and is off again."""
        with suppress(OSError):
            self._socket.send(PULSE)
        return self._hear(ANSWER_S) == ON and self._hear(pulse_s + ANSWER_S) == OFF

    def hang_up(self) -> None:
        """Make it switch off and end; whoever waits for it in another thread waits no longer."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Make it switch off and end, by another holder if it does not heed."""
        self.hang_up()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._kill()
            if self._was_ready:  # else it has switched nothing on
                successor = _Holder(self._arguments)
                successor.wait_ready()
                successor.end()
        self._socket.close()

    def _kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _hear(self, timeout_s: float) -> bytes:
        """The next thing that it says; nothing if that takes too long, or it has ended."""
        try:
            self._socket.settimeout(timeout_s)
            return self._socket.recv(1)
        except OSError:
            return b""

    def _rest(self) -> str:
        return b"".join(iter(lambda: self._hear(ANSWER_S), b"")).decode(errors="replace")
