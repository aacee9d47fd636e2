"""The process that alone holds the GPIO line of a relay, and outlives whoever uses it.

    python -m edge_unlock.actions.holder PIN high|low PULSE_S

It switches the line off and says ``OFF``. A ``PULSE`` on standard input switches it on (``ON``),
and its own clock switches it off ``PULSE_S`` seconds later (``OFF``), whatever became of who
asked. The end of standard input, SIGTERM, and anything that is not to be said there, mean off and
the end. Where the line cannot be had it says ``FAILED``, why in one line, and a hint in another.

These are two processes: a worker, which does all this, and its keeper. If the worker is killed, the
keeper switches the line off and ends; if the keeper is killed, the worker does.
"""

import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import NoReturn

from edge_unlock.actions.line import open_line
from edge_unlock.errors import EdgeUnlockError

STDIN, STDOUT = 0, 1
PULSE = b"+"
ON, OFF, FAILED = b"1", b"0", b"!"


def main() -> NoReturn:
    """Hold the line that the arguments name until standard input ends."""
    pin, active_high, pulse_s = int(sys.argv[1]), sys.argv[2] == "high", float(sys.argv[3])
    with suppress(ImportError):  # told when the line is opened
        import gpiozero  # noqa: F401, PLC0415  # slow, and a keeper must not be
    keeper, held = os.pipe()  # ends when the keeper does
    worker = os.fork()
    if worker == 0:
        try:
            os.close(held)
            _hold(pin, active_high, pulse_s, keeper)
        finally:
            os._exit(1)
    _, status = os.waitpid(worker, 0)
    if status:
        with suppress(EdgeUnlockError):  # who started us starts another, and is told
            open_line(pin, active_high)
    _end(status)


def _hold(pin: int, active_high: bool, pulse_s: float, keeper: int) -> NoReturn:
    try:
        line = open_line(pin, active_high)
    except EdgeUnlockError as error:
        os.write(STDOUT, FAILED + f"{error}\n{error.hint}".encode(errors="replace"))
        _end(0)

    def end(*_: object) -> NoReturn:
        line.off()
        _end(0)

    signal.signal(signal.SIGTERM, end)
    try:
        while True:
            os.write(STDOUT, OFF)
            heard, _, _ = select.select([STDIN, keeper], [], [])
            if keeper in heard or os.read(STDIN, 2) != PULSE:
                end()
            until_s = time.monotonic() + pulse_s
            line.on()
            os.write(STDOUT, ON)
            if any(select.select([STDIN, keeper], [], [], max(0, until_s - time.monotonic()))):
                end()
            line.off()
    finally:
        end()


def _end(status: int) -> NoReturn:
    """Leave the line as it is: gpiozero's own end would make an input of it, which may float."""
    os._exit(min(status, 1))


if __name__ == "__main__":
    main()
