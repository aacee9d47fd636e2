import json
import signal
import subprocess
import time

import pytest
import soundfile

from tests.cli.conftest import assert_error


@pytest.fixture
def listening(enrolled):
    """A ``listen`` that hears a pipe."""
    process = enrolled.start(
        "listen", "--quiet", "--input", "-", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    yield process
    process.stdin.close()
    process.wait(50)
    process.stderr.close()


def asked(installation, until):
    """The status, as soon as it is as it is waited for."""
    for _ in range(600):
        result = installation.run("status", "--json")
        if result.exit_code == 0 and until(json.loads(result.stdout)):
            return json.loads(result.stdout)
        time.sleep(0.1)
    raise AssertionError(result.output)


def test_it_tells_what_listens_and_what_was_decided(enrolled, people, listening):
    found = asked(enrolled, bool)
    assert found["pid"] == listening.pid and found["microphone"]["delivers"]
    for name in ("bob", "alice"):
        samples, _ = soundfile.read(people[name][4], dtype="int16")
        listening.stdin.write(samples.tobytes() + bytes(64000))
        listening.stdin.flush()
    found = asked(enrolled, lambda status: len(status["decisions"]) == 2)
    assert [one["decision"] for one in found["decisions"]] == ["rejected", "accepted"]
    assert found["decisions"][1]["user"] == "alice"
    assert "score" not in json.dumps(found)
    told = enrolled.run("status").stdout
    assert "accepted: alice" in told and "delivers" in told


def test_doctor_asks_what_listens_about_its_microphone(enrolled, listening):
    asked(enrolled, bool)
    told = enrolled.run("doctor").stdout
    assert f"in use by `listen`, process {listening.pid}" in told
    assert "FAIL  microphone" not in told


def test_nothing_listens(enrolled, listening):
    asked(enrolled, bool)
    listening.send_signal(signal.SIGKILL)
    listening.wait()
    result = enrolled.run("status")
    assert_error(result, 1, "nothing listens")
    assert not result.stdout


def test_a_second_one_listens_too_and_says_that_its_status_is_not_told(enrolled, people, listening):
    asked(enrolled, bool)
    result = enrolled.run("listen", "--once", "--input", people["alice"][4])
    assert result.exit_code == 0
    assert "another `listen`" in result.stderr
    assert json.loads(enrolled.run("status", "--json").stdout)["pid"] == listening.pid
