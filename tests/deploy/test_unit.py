"""The unit as systemd's own programs judge it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "deploy" / "systemd"
UNIT = SYSTEMD / "edge-unlock.service"
BACKOFF = SYSTEMD / "backoff.conf"
COMMAND = "/opt/edge-unlock/bin/edge-unlock"
STEPS_SINCE = 254
"""The systemd that knows ``RestartSteps=``."""

pytestmark = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="the package systemd is not installed"
)


def analyze(*arguments) -> str:
    """What systemd-analyze prints when it has succeeded."""
    result = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def verify(directory: Path, text: str) -> str:
    """What systemd says of the unit, with a command that exists here; nothing if all is well."""
    assert text.count(f"={COMMAND} ") == 2
    unit = directory / UNIT.name
    unit.write_text(text.replace(COMMAND, sys.executable))
    return analyze("verify", "--man=no", unit)


def test_systemd_finds_nothing_wrong(tmp_path):
    assert verify(tmp_path, UNIT.read_text()) == ""


def test_systemd_finds_what_is_wrong(tmp_path):
    assert "Wathdog" in verify(tmp_path, UNIT.read_text().replace("WatchdogSec", "WathdogSec"))


def test_the_drop_in_is_known_by_the_systemd_that_gets_it(tmp_path):
    version = int(re.search(r"systemd (\d+)", analyze("--version"))[1])
    said = verify(tmp_path, UNIT.read_text() + BACKOFF.read_text())
    assert ("Unknown key" in said) == (version < STEPS_SINCE)


def test_the_service_is_shut_in():
    said = analyze("security", "--offline=true", "--no-pager", UNIT)
    exposure = float(re.search(r"exposure level for edge-unlock.service: ([\d.]+)", said)[1])
    assert exposure <= 1.5


def test_microphone_relay_and_broker_stay_within_reach():
    lines = UNIT.read_text().splitlines()
    for line in (
        "DeviceAllow=char-alsa rw",
        "DeviceAllow=char-gpiochip rw",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    ):
        assert line in lines
    forbidding = ("PrivateDevices", "PrivateNetwork", "ProcSubset", "RootDirectory")
    assert not [line for line in lines if line.startswith(forbidding)]
