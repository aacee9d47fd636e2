import json

import pytest
from click.testing import CliRunner

from edge_unlock.cli import main
from tests.cli.conftest import assert_error
from tests.pulse import ALSA_CONFIG, PulseServer


@pytest.fixture
def no_sound(monkeypatch, tmp_path):
    """ALSA leads to a sound server that is not there."""
    (tmp_path / "asound.conf").write_text(ALSA_CONFIG)
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")


def test_version_names_the_model(installation, package):
    output = installation.run("version").stdout
    assert output.startswith("edge-unlock ")
    assert package.manifest.name in output


@pytest.mark.usefixtures("no_sound")
@pytest.mark.parametrize("arguments", [("devices",), ("verify", "alice"), ("listen", "--once")])
def test_without_a_microphone_one_line_says_so(enrolled, arguments):
    assert_error(enrolled.run(*arguments), 1, "microphone")


@pytest.mark.usefixtures("no_sound")
def test_doctor_names_each_fault_and_fails(installation):
    result = installation.run("doctor", "--json")
    assert result.exit_code == 1
    findings = {line["check"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert findings["model"]["passed"] and findings["voice detection"]["passed"]
    for check in ("vault", "key source", "microphone"):
        assert not findings[check]["passed"] and findings[check]["hint"]


def test_doctor_passes_when_all_is_well(enrolled, people):
    with PulseServer() as pulse:
        playing = pulse.start_speaking(people["alice"][0])
        result = enrolled.run("doctor")
        playing.wait()
    assert result.exit_code == 0, result.output
    assert "noise floor" in result.stdout
    assert "FAIL" not in result.stdout


def test_devices_lists_the_microphone():
    with PulseServer():
        result = CliRunner().invoke(main, ["devices", "--json"])
    assert result.exit_code == 0
    assert any(json.loads(line)["is_default"] for line in result.stdout.splitlines())
