"""Short runs of the long checks; how to run them whole, each of their modules says."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "check", [("soak", "--hours", "0.3"), ("listen_killing", "12"), ("identifying", "120")]
)
def test_it_holds(check):
    module, *arguments = check
    done = subprocess.run(
        [sys.executable, "-m", f"tests.{module}", *arguments],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
