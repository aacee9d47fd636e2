"""Days of sound as fast as they go: nothing grows, and each acceptance is acted on once.

    python -m tests.soak [--hours 24]

A fake microphone delivers a quiet room, the owner, a stranger, speech that never pauses, samples
that are lost, and is pulled out and plugged in again. All behind it is what ``listen`` is made of,
with a fake relay and a real command. Prints 24 readings on the way, and ends with 1 if memory grows
by 1 MB or more over the time, if a thread or descriptor is left, or if an acceptance was not acted
on exactly once.
"""

import gc
import os
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import click
import numpy as np

from edge_unlock.actions import Command, Fake
from edge_unlock.audio import Lasting, Samples, lasting
from edge_unlock.audio.source import BLOCK_SAMPLES, SAMPLE_RATE_HZ
from edge_unlock.errors import DeviceError
from edge_unlock.lock.door import Door, Outcome
from edge_unlock.lock.hearing import Hearing
from edge_unlock.segmentation.segment import Segmenter
from edge_unlock.service.listener import Listener
from edge_unlock.vault.attempts import Uptime
from tests.installation import OWNER, STRANGER, Household, reporter

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
REFRACTORY_S = 2.0
READINGS = 24
SETTLING = 12
"""So many of the first readings do not count: caches and pools of libraries fill up."""


class Unplugged(Exception):
    """The device is pulled out here."""


class Day:
    """A microphone's samples over many hours, which go on after it was unplugged."""

    def __init__(self, voices: dict[str, Samples], hours: float, seed: int = 0) -> None:
        self.name = "fake"
        self.overruns = 0
        self._voices = voices
        self._until = hours * 3600 * SAMPLE_RATE_HZ
        self._chance = random.Random(seed)
        noise = np.random.default_rng(seed).normal(0, 3e-4, 60 * SAMPLE_RATE_HZ)
        self._room = noise.astype(np.float32)
        self._samples = 0
        self._ended = False
        self._blocks = self._deliver()

    @property
    def hours(self) -> float:
        """How many have passed."""
        return self._samples / SAMPLE_RATE_HZ / 3600

    def now(self) -> Uptime:
        """The clock of the attempts, by the same time."""
        return Uptime("a day", self._samples / SAMPLE_RATE_HZ)

    def blocks(self) -> Iterator[Samples]:
        """Yield the next ones; DeviceError where it is unplugged."""
        for block in self._blocks:
            if block is None:
                raise DeviceError("unplugged", "Plug it in.")
            self._samples += block.size
            yield block

    def close(self) -> None:
        """Nothing is held."""

    def _deliver(self) -> Iterator[Samples | None]:
        while self._samples < self._until:
            for _ in range(self._chance.randint(1, 4)):
                yield from self._cut(self._room)
            event = self._chance.choice(("owner", "owner", "stranger", "long", "gap", "unplugged"))
            voice = self._voices[STRANGER if event == "stranger" else OWNER]
            blocks = list(self._cut(voice))
            middle = len(blocks) // 2
            if event == "gap":
                yield from blocks[:middle]
                self.overruns += 1
                yield from blocks[middle + 10 :]
            elif event == "unplugged":
                yield from blocks[:middle]
                yield None
            elif event == "long":
                yield from self._cut(np.tile(voice[SAMPLE_RATE_HZ:-SAMPLE_RATE_HZ], 8))
            else:
                yield from blocks

    def _cut(self, samples: Samples) -> Iterator[Samples]:
        for start in range(0, samples.size, BLOCK_SAMPLES):
            yield samples[start : start + BLOCK_SAMPLES]


class Held(NamedTuple):
    """What a process holds."""

    memory_bytes: int
    threads: int
    descriptors: int

    @classmethod
    def now(cls) -> "Held":
        """Read it."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
        return cls(pages * PAGE_BYTES, threading.active_count(), descriptors)


def soak(hours: float) -> bool:
    """Run it; returns whether all was well."""
    with TemporaryDirectory(prefix="edge-unlock-") as directory:
        return _soak(hours, Path(directory))


def _soak(hours: float, directory: Path) -> bool:
    lasting.FIRST_WAIT_S = 0.01  # type: ignore[misc]  # nobody plugs it in by hand
    household = Household(directory)
    household.enroll()
    day = Day(household.voices, hours)
    opened = directory / "opened"
    script = 'echo "$EDGE_UNLOCK_USER" >> "$0"'
    relay = Fake("relay", lasts_s=0.01)
    losses: list[DeviceError | None] = []
    held: list[Held] = []
    accepted, outcomes = 0, []
    with (
        household.open() as vault,
        household.gatekeeper(vault, day.now) as gatekeeper,
        Door([relay, Command(["sh", "-c", script, str(opened)], 60)]) as door,
        Lasting(lambda: day, losses.append) as source,
    ):
        listener = Listener(
            gatekeeper,
            door,
            vault.audit,
            reporter(),
            refractory_s=REFRACTORY_S,
            beat=lambda: _note(day, hours / READINGS, held),
        )
        hearing = Hearing(source, Segmenter(), household.encoder, early=False)
        for event in listener.events(hearing):
            if isinstance(event, Outcome):
                outcomes.append(event)
                assert event.error is None, event.error
            elif event.is_accepted:
                accepted += 1
    with household.open() as vault:
        logged = [entry.event for entry in vault.audit.entries()]
    ran = len(opened.read_text().splitlines())
    growth = _growth(held)
    print(
        f"{day.hours:.1f} hours, {sum(one is not None for one in losses)} losses of the device; "
        f"{accepted} accepted, {len(relay.done)} times the relay, {ran} times the command; "
        f"logged: {logged.count('accepted')} accepted, {logged.count('unlock done')} done; "
        f"memory {growth / 1e6:+.2f} MB over the time"
    )
    return (
        accepted > 0
        and len(relay.done) == ran == accepted
        and len(outcomes) == 2 * accepted
        and growth < 1e6
        and held[-1][1:] == held[0][1:]
    )


def _note(day: Day, every_hours: float, held: list[Held]) -> None:
    """Take a reading if it is time, and no action runs."""
    if day.hours >= (len(held) + 1) * every_hours and threading.active_count() == 1:
        held.append(Held.now())
        memory = held[-1].memory_bytes / 1e6
        print(
            f"{day.hours:5.1f} h: {memory:.2f} MB, {held[-1].threads} threads, "
            f"{held[-1].descriptors} descriptors",
            flush=True,
        )


def _growth(held: list[Held]) -> float:
    """Bytes over the whole time, by the slope of a line through the later readings."""
    memory = [one.memory_bytes for one in held][SETTLING:]
    return float(np.polyfit(np.arange(len(memory)), memory, 1)[0]) * READINGS


@click.command(help=__doc__)
@click.option("--hours", default=24.0, show_default=True)
def main(hours: float) -> None:
    sys.exit(not soak(hours))


if __name__ == "__main__":
    main()
