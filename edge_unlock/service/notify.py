"""Tells systemd how a service does: sd_notify(3), and the watchdog of sd_watchdog_enabled(3)."""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from edge_unlock.closing import Closing
from edge_unlock.service.status import Status

SECONDS_PER_MICROSECOND: Final = 1e-6


class Notify(Closing):
    """An Observer that talks to the service manager, if one started us; else it does nothing.

    The service is ready with the first status in which it listens, or waits for its microphone.
    ``beat`` keeps the watchdog quiet, and is to be called wherever work goes on.
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._clock = clock
        self._interval_s = _watchdog_s(environment) / 2  # as sd_watchdog_enabled(3) advises
        self._next_s = clock()
        self._is_ready = False
        self._told = ""

    def update(self, status: Status) -> None:
        """Tell the state in words."""
        words = _words(status)
        lines = [f"STATUS={words}"] if words != self._told else []
        if not self._is_ready and status.state not in ("starting", "stopping"):
            self._is_ready = True
            lines.append("READY=1")
        if status.state == "stopping":
            lines.append("STOPPING=1")
        self._told = words
        self._send(lines)

    def beat(self) -> None:
        """Say that it lives, as often as the watchdog needs it."""
        now_s = self._clock()
        if self._interval_s and now_s >= self._next_s:
            self._next_s = now_s + self._interval_s
            self._send(["WATCHDOG=1"])

    def _send(self, lines: list[str]) -> None:
        if not (lines and self._address):
            return
        # an @ stands for the abstract namespace
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        # who does not listen, or has its queue full, is not waited for
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender,
        ):
            sender.sendto("\n".join(lines).encode(), address)


def _words(status: Status) -> str:
    """A line for ``systemctl status``."""
    if status.state == "no microphone":
        return f"No microphone: {status.microphone.error}"
    words = status.state.capitalize()
    if status.lockout is not None:
        words += f"; {status.lockout.reason}"
    overloads = status.microphone.overruns - status.microphone.losses
    if overloads > 0:
        words += f"; too slow for its microphone {overloads} times"
    return words


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """After how long without a beat we are killed; 0 for never."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0  # it was meant for who started us
    try:
        return max(0.0, int(environment.get("WATCHDOG_USEC", "0")) * SECONDS_PER_MICROSECOND)
    except ValueError:
        return 0.0
