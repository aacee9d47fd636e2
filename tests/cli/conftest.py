import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_unlock.cli import main


class Installation:
    """A state directory and a key of its own, and commands run in this process."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "state"
        self.keys = directory / "config" / "edge-unlock" / "keys"
        self.environment = {
            "EDGE_UNLOCK_HOME": str(self.home),
            "XDG_CONFIG_HOME": str(directory / "config"),
            "EDGE_UNLOCK_MODEL": None,
            "EDGE_UNLOCK_CONFIG": None,
            "EDGE_UNLOCK_PASSPHRASE_FILE": None,
            "EDGE_UNLOCK_DEBUG": None,
        }

    @property
    def keyfile(self) -> Path:
        """The one key of the one vault."""
        (path,) = self.keys.iterdir()
        return path

    def run(self, *arguments, stdin=None, **environment) -> Result:
        result = CliRunner().invoke(
            main,
            [str(argument) for argument in arguments],
            env=self.environment | environment,
            input=stdin,
        )
        assert isinstance(result.exception, SystemExit | type(None)), result.exception
        assert "Traceback" not in result.output
        return result

    def start(self, *arguments, **options) -> subprocess.Popen:
        """Start the command in a process of its own."""
        environment = {k: v for k, v in (os.environ | self.environment).items() if v is not None}
        return subprocess.Popen(
            [sys.executable, "-m", "edge_unlock", *(str(argument) for argument in arguments)],
            env=environment | options.pop("env", {}),
            stderr=subprocess.PIPE,
            **options,
        )

    def enroll(self, name, paths, *options) -> Result:
        inputs = [part for path in paths for part in ("--input", path)]
        return self.run("enroll", name, "--consent", *inputs, *options)

    def state(self) -> dict[str, bytes]:
        """Every file of the vault."""
        return {
            str(path.relative_to(self.home)): path.read_bytes()
            for path in sorted(self.home.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def installation(tmp_path):
    return Installation(tmp_path)


@pytest.fixture
def initialized(installation):
    assert installation.run("init").exit_code == 0
    return installation


@pytest.fixture
def enrolled(initialized, people):
    assert initialized.enroll("alice", people["alice"][:4]).exit_code == 0
    return initialized


def write_secret(path: Path, text: str | bytes) -> dict[str, str]:
    """Write a private passphrase file; returns the environment that names it."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o600)
    return {"EDGE_UNLOCK_PASSPHRASE_FILE": str(path)}


def assert_error(result: Result, exit_code: int, *words: str) -> None:
    """One line that says what, one that says what to do."""
    assert result.exit_code == exit_code, result.output
    lines = result.stderr.strip().splitlines()
    assert lines[-2].startswith("edge-unlock: error: ")
    assert lines[-1].startswith("hint: ")
    for word in words:
        assert word in lines[-2]
