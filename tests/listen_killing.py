"""Kills a listening process at random points: no unlock without an acceptance, none twice.

    python -m tests.listen_killing 500

A child is what ``listen`` is made of, with a fake microphone, a relay (the real one on a fake GPIO
line) and a real command. It hears the owner twice and is killed (SIGKILL) at a random moment.
Afterwards each acceptance that it reported must stand in the log, with at most one run of each
action; and the relay must be off, and have been on no longer than its pulse. Ends with 1 if that
is not so.
"""

import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

from edge_unlock.actions import Command, Relay
from edge_unlock.actions.line import FAKE_VARIABLE
from edge_unlock.audio import Fake
from edge_unlock.lock.door import Door
from edge_unlock.lock.hearing import Hearing
from edge_unlock.segmentation.segment import Segmenter
from edge_unlock.service.listener import Listener
from tests.gpio import PIN, Line
from tests.installation import OWNER, Household, reporter
from tests.waiting import until

PULSE_S = 0.1
TOLERANCE_S = 0.3
"""So long a busy machine may let the relay's process wait."""
LONGEST_S = 2.0
"""A child is ready, hears all and has ended within it."""


def kill_at_random(points: int, seed: int = 0) -> Counter[str]:
    """Counts what happened; AssertionError where something must not."""
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    with TemporaryDirectory(prefix="edge-unlock-") as name:
        directory = Path(name)
        household = Household(directory)
        _in_child(household.enroll)
        stream = np.concatenate([household.voices[who] for who in (OWNER, OWNER)])
        for point in range(points):
            trial = directory / str(point)
            trial.mkdir()
            counts += _kill_one(household, stream, trial, chance.uniform(0, LONGEST_S))
    return counts


def _kill_one(
    household: Household, stream: np.ndarray, trial: Path, after_s: float
) -> Counter[str]:
    line, opened = Line(trial / "gpio"), trial / "opened"
    opened.touch()
    before = _events(household)
    os.environ[FAKE_VARIABLE] = str(line.path)
    reader, writer = os.pipe()
    child = _child(lambda: _listen(household, stream, opened, writer))
    os.close(writer)
    assert os.read(reader, 1) == b"r", "the child failed"
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as reports:
        reported = len(reports.read())
    until(lambda: not line.is_on)
    time.sleep(0.05)  # a command that was started goes on
    events = _events(household) - before
    ran, pulses = len(opened.read_text().splitlines()), line.pulses()
    accepted = events["accepted"]
    assert reported <= accepted <= 2, (reported, events)
    assert ran <= accepted, (ran, events)
    assert len(pulses) <= accepted, (pulses, events)
    assert events["unlock done"] <= 2 * accepted, events
    assert all(length <= PULSE_S + TOLERANCE_S for length in pulses), pulses
    with household.open() as vault:
        vault.enable()  # a kill leaves what was prepaid charged
    return Counter(
        points=1, accepted=accepted, command=ran, relay=len(pulses), done=events["unlock done"]
    )


def _child(run: Callable[[], object]) -> int:
    """Run it in a process of its own, and return that."""
    child = os.fork()
    if child:
        return child
    try:
        run()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _in_child(run: Callable[[], object]) -> None:
    _, status = os.waitpid(_child(run), 0)
    assert status == 0


def _events(household: Household) -> Counter[str]:
    """How often each event stands in the log, which must be whole."""
    with household.open() as vault:
        return Counter(entry.event for entry in vault.audit.entries())


def _listen(household: Household, stream: np.ndarray, opened: Path, writer: int) -> None:
    command = Command(["sh", "-c", 'echo "$EDGE_UNLOCK_USER" >> "$0"', str(opened)], 10)
    with (
        household.open() as vault,
        household.gatekeeper(vault) as gatekeeper,
        Door([Relay(PIN, pulse_s=PULSE_S), command]) as door,
    ):
        listener = Listener(gatekeeper, door, vault.audit, reporter())
        hearing = Hearing(Fake(stream), Segmenter(), household.encoder)
        os.write(writer, b"r")
        for event in listener.events(hearing, live=False):
            if getattr(event, "is_accepted", False):
                os.write(writer, b"a")


@click.command(help=__doc__)
@click.argument("points", type=int)
def main(points: int) -> None:
    counts = kill_at_random(points)
    print(", ".join(f"{name} {count}" for name, count in counts.items()))


if __name__ == "__main__":
    sys.exit(main())
