"""Kills what holds or uses a relay at random points: it must never be on for too long.

    python -m tests.actions.relay_killing 200

A process gives pulses of ``PULSE_S``, one after the other, by the real relay and holder on a line
whose levels a file tells. It, a process of the holder, or two of these three at once, are killed
(SIGKILL) at a random moment. A line keeps its level when its process is killed, as on Raspberry Pi
OS. Prints the longest time that it was on, by who was killed; ends with 1 if that is ever more than
``PULSE_S`` and ``TOLERANCE_S``, or the line is on at the end.

Where both processes of the holder are killed, the one that is left has to start another, which
takes as long as Python does: there only the end is judged.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_unlock.actions.line import FAKE_VARIABLE
from tests.gpio import PIN, Line, holders
from tests.processes import children, is_gone
from tests.waiting import until

PULSE_S = 0.3
TOLERANCE_S = 0.25
"""What a busy machine lets a process wait, and a keeper takes to open the line."""

USER = f"""
from contextlib import suppress
from edge_unlock.actions import Relay
from edge_unlock.errors import ActionError
from edge_unlock.scoring.recognizer import Decision
with Relay({PIN}, pulse_s={PULSE_S}) as relay:
    while True:
        with suppress(ActionError):
            relay.run(Decision(decision="accepted", user="anna"))
"""

VICTIMS = (
    *(("user",), ("worker",), ("keeper",)),
    *(("user", "worker"), ("user", "keeper"), ("worker", "keeper")),
)


def kill_once(path: Path, victims: tuple[str, ...]) -> Line:
    """Let one process give pulses until somebody is killed, and all is over."""
    line = Line(path)
    user = subprocess.Popen(
        [sys.executable, "-c", USER], env=os.environ | {FAKE_VARIABLE: str(path)}
    )
    until(line.levels)
    (keeper,) = holders(user.pid)
    (worker,) = children(keeper)
    pids = {"user": user.pid, "keeper": keeper, "worker": worker}
    time.sleep(random.uniform(0, 2.5 * PULSE_S))
    for victim in victims:
        with suppress(ProcessLookupError):  # the death of the one may have ended the other
            os.kill(pids[victim], signal.SIGKILL)
    until(lambda: is_gone(keeper, worker))
    if "user" not in victims:
        pulses = len(line.pulses())
        until(lambda: len(line.pulses()) > pulses + 1)  # it goes on with another holder
        last = holders(user.pid)
        user.terminate()
        until(lambda: is_gone(*last))
    user.wait()
    return line


def main(count: int) -> int:
    """Kill ``count`` times; the exit status."""
    longest: defaultdict[str, float] = defaultdict(float)
    times: defaultdict[str, int] = defaultdict(int)
    failed = 0
    with TemporaryDirectory() as directory:
        for number in range(count):
            victims = VICTIMS[number % len(VICTIMS)]
            line = kill_once(Path(directory) / str(number), victims)
            whom = " and ".join(victims)
            longest[whom] = max(longest[whom], *line.pulses(), 0)
            times[whom] += 1
            is_bounded = "user" in victims or len(victims) == 1
            if line.is_on or (is_bounded and max(line.pulses(), default=0) > PULSE_S + TOLERANCE_S):
                failed += 1
                print(f"{whom}: {line.pulses()}")
    for whom, on_s in longest.items():
        print(f"{times[whom]:4} times {whom:18} on for {on_s:.3f} s at most, of {PULSE_S}")
    print(f"{count} kills, {failed} failures")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
