"""How soon after the end of speech `listen` acts, on one core, alone and beside another program.

    python convert/figures/latency.py [--utterances 60]

The recordings of the demo are spoken into `edge-unlock listen --input -` as fast as a microphone
delivers them. The action is a program that writes down when it was started. The time counts from
when the sample was there after which an utterance is over: the hang-over that it takes to know that
somebody has ended is apart from it. All runs on the first core; beside it, a loop that never ends.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np

from edge_unlock.audio import File, Samples
from edge_unlock.audio.source import BLOCK_SAMPLES, SAMPLE_RATE_HZ
from edge_unlock.config import CONFIG_NAME
from edge_unlock.demo import (
    OWNER,
    Installation,
    enrollment_arguments,
    throwaway_installation,
    utterance,
)
from edge_unlock.segmentation.segment import Segmenter, SegmenterSettings

CORE = 0
PAUSE_S = 1.5
ACTION = "import sys,time; open(sys.argv[1], 'a').write(f'{time.monotonic()}\\n')"
BUSY = "while True: pass"


def spoken(path: Path) -> tuple[list[Samples], int]:
    """The recording and a pause, in blocks, and the number of the block that ends an utterance."""
    with File(path) as source:
        samples = np.concatenate(list(source.blocks()))
    samples = np.concatenate((samples, np.zeros(round(PAUSE_S * SAMPLE_RATE_HZ), np.float32)))
    blocks = [samples[i : i + BLOCK_SAMPLES] for i in range(0, samples.size, BLOCK_SAMPLES)]
    segmenter = Segmenter()
    ends = [number for number, block in enumerate(blocks) if segmenter.push(block)]
    return blocks, ends[-1]


def measure(installation: Installation, count: int, directory: Path) -> list[float]:
    """Seconds from the end of each utterance to its action."""
    blocks, end = spoken(utterance(OWNER))
    stamps = directory / "stamps"
    stamps.write_text("")
    (Path(installation.environment["EDGE_UNLOCK_HOME"]) / CONFIG_NAME).write_text(
        "refractory_s = 0.0\n"
    )
    command = [sys.executable, "-m", "edge_unlock", "listen", "--quiet", "--input", "-"]
    action = ["--on-unlock", sys.executable, "-S", "-E", "-c", ACTION, str(stamps)]
    ended: list[float] = []
    reader, writer = os.pipe()
    with (
        subprocess.Popen([*command, *action], env=installation.environment, stdin=reader),
        os.fdopen(writer, "wb", buffering=0) as microphone,
    ):
        os.close(reader)
        time.sleep(5)  # it loads
        due = time.monotonic()
        for _ in range(count):
            for number, block in enumerate(blocks):
                due += block.size / SAMPLE_RATE_HZ
                time.sleep(max(0, due - time.monotonic()))
                microphone.write((block * 32767).astype("<i2").tobytes())
                if number == end:
                    ended.append(time.monotonic())
    acted = [float(line) for line in stamps.read_text().split()]
    if len(acted) != count:
        sys.exit(f"{len(acted)} actions for {count} utterances")
    return [at - end_s for at, end_s in zip(acted, ended, strict=True)]


@contextmanager
def beside(is_busy: bool) -> Iterator[None]:
    """Something else that wants the core."""
    if not is_busy:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", BUSY]) as eater:
        yield
        eater.kill()


@click.command(help=__doc__)
@click.option("--utterances", default=60, show_default=True)
def main(utterances: int) -> None:  # noqa: D103
    os.sched_setaffinity(0, {CORE})
    hangover_ms = 1000 * SegmenterSettings().hangover_s
    with throwaway_installation() as installation:
        for arguments in (["init"], enrollment_arguments()):
            installation.run(*arguments)
        for is_busy in (False, True):
            with beside(is_busy):
                home = Path(installation.environment["EDGE_UNLOCK_HOME"])
                found = 1000 * np.array(measure(installation, utterances, home.parent))
            print(
                f"{'beside a program that eats the core' if is_busy else 'alone'}: "
                f"median {np.median(found):.0f} ms, 99% {np.quantile(found, 0.99):.0f} ms, "
                f"longest {found.max():.0f} ms of {utterances}; hang-over {hangover_ms:.0f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
