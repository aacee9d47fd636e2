"""Shows the whole of edge-unlock without a microphone: two synthetic voices and a throw-away vault.

Every step is a real command in a process of its own, so that what is shown is what runs.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_unlock.errors import EdgeUnlockError

AUDIO = Path(__file__).parent / "demo_audio"
"""Utterances of two synthetic voices; deploy/demo_audio.sh makes them."""

OWNER, STRANGER = "anna", "boris"


@dataclass(frozen=True)
class Installation:
    """A throw-away state directory with its own key."""

    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a command that uses it."""
        return os.environ | {
            "EDGE_UNLOCK_HOME": str(self.directory / "state"),
            "XDG_CONFIG_HOME": str(self.directory / "config"),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``edge-unlock`` with these arguments; its output is captured as text."""
        return subprocess.run(
            [sys.executable, "-m", "edge_unlock", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def throwaway_installation() -> Iterator[Installation]:
    """An ``Installation`` that is deleted afterwards."""
    with TemporaryDirectory(prefix="edge-unlock-") as directory:
        yield Installation(Path(directory))


def enrollment_arguments() -> list[str]:
    """Arguments that enroll the owner's recordings."""
    inputs = sorted(AUDIO.glob(f"{OWNER}-enroll-*.flac"))
    return ["enroll", OWNER, "--consent", *(f"--input={path}" for path in inputs)]


def utterance(speaker: str) -> Path:
    """What ``OWNER`` or ``STRANGER`` says at the door."""
    return AUDIO / f"{speaker}-unlock.flac"


def run_demo(echo: Callable[[str], None]) -> None:
    """Enroll one voice, see it accepted and the other rejected; tell each step to ``echo``.

    Raises ``EdgeUnlockError`` as soon as a step ends otherwise than it must.
    """
    with throwaway_installation() as installation:
        opened = installation.directory / "door-is-open"
        steps: list[tuple[str, list[str], int]] = [
            ("Make an empty vault.", ["init"], 0),
            (f"Enroll {OWNER}.", enrollment_arguments(), 0),
            (
                f"{OWNER} speaks: the door must open.",
                ["verify", OWNER, "--show-scores", "--input", str(utterance(OWNER))],
                0,
            ),
            (
                f"{STRANGER} says to be {OWNER}: the door must stay shut.",
                ["verify", OWNER, "--show-scores", "--input", str(utterance(STRANGER))],
                3,
            ),
            (
                f"{STRANGER} is heard by the listener: no command runs.",
                _listen_arguments(STRANGER, opened),
                3,
            ),
            (
                f"{OWNER} is heard by the listener: the unlock command runs.",
                _listen_arguments(OWNER, opened),
                0,
            ),
        ]
        for purpose, arguments, expected in steps:
            if opened.exists():
                raise EdgeUnlockError("the unlock command ran for a stranger", "Do not use this.")
            echo(f"\n# {purpose}\n$ edge-unlock {_abbreviated(arguments)}")
            result = installation.run(*arguments)
            echo((result.stderr + result.stdout).rstrip())
            if result.returncode != expected:
                raise EdgeUnlockError(
                    f"the demo failed: exit status {result.returncode} instead of {expected}",
                    "Run `edge-unlock doctor`; if it finds nothing, report this.",
                )
        if not opened.exists():
            raise EdgeUnlockError("the unlock command did not run", "Report this.")
    echo("\nAll as it must be: the owner was let in, the stranger was not.")


def _listen_arguments(speaker: str, opened: Path) -> list[str]:
    return [
        "listen",
        "--once",
        "--input",
        str(utterance(speaker)),
        "--on-unlock",
        "touch",
        str(opened),
    ]


def _abbreviated(arguments: list[str]) -> str:
    """The arguments as a person would type them in the directory of the recordings."""
    return shlex.join(arguments).replace(f"{AUDIO}/", "")
