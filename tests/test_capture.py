"""The whole way: a voice in the air, the sound server, PyAudio, enrollment, unlock command."""

import signal
import subprocess
import sys

import pytest

from edge_unlock.demo import throwaway_installation
from tests.pulse import PulseServer
from tests.restarting import outlive


@pytest.fixture(scope="module")
def pulse():
    with PulseServer() as server:
        yield server


@pytest.fixture(scope="module")
def installation(pulse, people):
    """An installation where alice was enrolled at the microphone."""
    with throwaway_installation() as installation:
        assert installation.run("init").returncode == 0
        arguments = ["enroll", "alice", "--consent", "--utterances", "3"]
        with Command(installation, *arguments) as enrolling:
            for path in people["alice"][:3]:
                enrolling.wait_for("Say ")
                pulse.speak(path)
            assert enrolling.exit_code() == 0, enrolling.said
        yield installation


class Command:
    """An ``edge-unlock`` that hears the sound server; its standard error is followed."""

    def __init__(self, installation, *arguments):
        self.said = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge_unlock", *arguments],
            env=installation.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()

    def wait_for(self, words):
        """Read until a line of standard error holds the words."""
        for line in self._process.stderr:
            self.said += line
            if words in line:
                return
        raise AssertionError(f"{words!r} was not said, but: {self.said}")

    def exit_code(self):
        out, err = self._process.communicate(timeout=60)
        self.said += out + err
        return self._process.returncode


def listen(installation, pulse, path, opened):
    action = ("--on-unlock", "touch", str(opened))
    arguments = ("listen", "--once", "--timeout", "30", *action)
    with Command(installation, *arguments) as listening:
        listening.wait_for("Listening")
        pulse.speak(path)
        return listening.exit_code(), listening.said


def test_the_enrolled_person_opens_the_door(installation, pulse, people, tmp_path):
    exit_code, said = listen(installation, pulse, people["alice"][4], tmp_path / "opened")
    assert exit_code == 0, said
    assert "accepted: alice" in said
    assert (tmp_path / "opened").exists()


def test_an_impostor_does_not(installation, pulse, people, tmp_path):
    exit_code, said = listen(installation, pulse, people["bob"][4], tmp_path / "opened")
    assert exit_code == 3, said
    assert not (tmp_path / "opened").exists()


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_during_enrollment_leaves_the_vault_as_it_was(installation, pulse, people):
    before = installation.run("list", "--json").stdout
    arguments = ("enroll", "bob", "--consent")
    with Command(installation, *arguments) as enrolling:
        enrolling.wait_for("Say ")
        pulse.speak(people["bob"][0])
        enrolling.wait_for("ok")
        enrolling._process.send_signal(signal.SIGINT)
        assert enrolling.exit_code() == 1
    assert installation.run("list", "--json").stdout == before
    assert "bob" not in before


def test_a_stranger_who_spoke_first_is_left_out_and_one_more_is_asked_for(
    installation, pulse, people
):
    arguments = ["enroll", "alice", "--replace", "--consent", "--utterances", "4"]
    with Command(installation, *arguments) as enrolling:
        for path in (people["bob"][0], *people["alice"][:4]):
            enrolling.wait_for("Say ")
            pulse.speak(path)
        assert enrolling.exit_code() == 0, enrolling.said
    assert enrolling.said.count("another speaker") == 1
    assert "4 utterances" in enrolling.said


def test_silence_ends_with_no_usable_speech(installation, pulse):
    with Command(installation, "verify", "alice", "--timeout", "2") as verifying:
        assert verifying.exit_code() == 4
    assert "hint: " in verifying.said


def test_a_sound_server_that_dies_while_somebody_speaks_is_outlived():
    decisions = outlive(1)
    assert decisions["accepted"] == 1
    assert decisions["retry"] >= 1  # what was being said when it died
