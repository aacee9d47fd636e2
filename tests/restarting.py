"""Kills the sound server again and again while ``listen`` hears: it must recover each time.

    python -m tests.restarting 20

The server is killed in the middle of what a stranger says, and started again. After each recovery
the stranger speaks, whole, and may not be judged twice; nobody may be let in until, at the end, the
owner speaks. Prints what was decided; ends with 1 if that is not so.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from edge_unlock.demo import Installation, throwaway_installation
from tests import speech
from tests.pulse import PulseServer

OWNER, STRANGER = "alice", "bob"
SETTLING_S = 3.0
"""An utterance is judged, and the next one heard, within it."""


def outlive(restarts: int) -> Counter[str]:
    """What was decided over so many restarts; AssertionError if it does not recover."""
    with (
        TemporaryDirectory() as name,
        PulseServer() as pulse,
        throwaway_installation() as installation,
    ):
        people = speech.write_speakers(Path(name), (OWNER, STRANGER), 4)
        inputs = [f"--input={path}" for path in people[OWNER][:3]]
        for arguments in (["init"], ["enroll", OWNER, "--consent", *inputs]):
            assert installation.run(*arguments).returncode == 0
        with subprocess.Popen(
            [sys.executable, "-m", "edge_unlock", "listen", "--json"],
            env=installation.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as listening:
            until(installation, lambda status: status["state"] == "listening")
            for losses in range(1, restarts + 1):
                _restart(installation, pulse, people[STRANGER][3], losses)
            before = json.loads(installation.run("status", "--json").stdout)["decisions"]
            assert "accepted" not in [seen["decision"] for seen in before], before
            _let_in(installation, pulse, people[OWNER][3])
            listening.terminate()
            out, _ = listening.communicate(timeout=30)
    return Counter(json.loads(line)["decision"] for line in out.splitlines())


def _restart(installation: Installation, pulse: PulseServer, path: Path, losses: int) -> None:
    speaking = pulse.start_speaking(path)
    time.sleep(2.5)  # in the middle of the utterance
    pulse.stop()
    speaking.wait()
    until(installation, lambda status: status["microphone"]["losses"] == losses)
    pulse.start()
    until(installation, lambda status: status["state"] == "listening")
    pulse.speak(path)
    time.sleep(SETTLING_S)


def _let_in(installation: Installation, pulse: PulseServer, path: Path) -> None:
    """Have the owner speak, more than once if the server stutters on a busy machine."""
    for _ in range(5):
        pulse.speak(path)
        time.sleep(SETTLING_S)
        told = json.loads(installation.run("status", "--json").stdout)
        if any(seen["decision"] == "accepted" for seen in told["decisions"]):
            return


def until(installation: Installation, condition: object) -> None:
    """Wait until ``edge-unlock status`` tells what is waited for."""
    for _ in range(200):
        told = installation.run("status", "--json").stdout
        if told and condition(json.loads(told)):  # type: ignore[operator]
            return
        time.sleep(0.2)
    raise AssertionError(f"it never came: {told}")


@click.command(help=__doc__)
@click.argument("restarts", type=int)
def main(restarts: int) -> None:
    decisions = outlive(restarts)
    print(f"{restarts} restarts: {dict(decisions)}")
    sys.exit(decisions["accepted"] != 1)


if __name__ == "__main__":
    main()
