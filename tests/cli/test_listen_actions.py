"""``listen`` with the actions and reports of a configuration, on the real peers of each."""

import json
import subprocess

import soundfile

from edge_unlock.actions.line import FAKE_VARIABLE
from tests.broker import Broker, Reader, needs_mosquitto, until
from tests.cli.conftest import assert_error
from tests.gpio import PIN, Line, wait_until


def configure(installation, text):
    path = installation.home / "config.toml"
    path.write_text(text)
    path.chmod(0o600)


def test_all_actions_of_the_configuration_run_and_are_logged(enrolled, people, tmp_path):
    line, opened = Line(tmp_path / "gpio"), tmp_path / "opened"
    configure(
        enrolled,
        f'[[actions]]\ntype = "relay"\npin = {PIN}\npulse_s = 0.2\n'
        f'[[actions]]\ntype = "command"\narguments = ["touch", "{opened}"]\n',
    )
    arguments = ("listen", "--input", people["bob"][4], "--input", people["alice"][4])
    result = enrolled.run(*arguments, **{FAKE_VARIABLE: str(line.path)})
    assert result.exit_code == 0, result.output
    assert opened.exists() and len(line.pulses()) == 1 and not line.is_on
    told = enrolled.run("audit", "show", "--json").stdout.splitlines()
    entries = [json.loads(entry) for entry in told]
    done = [one["fields"] for one in entries if one["event"] == "unlock done"]
    assert sorted(one["action"] for one in done) == ["command", "relay"]
    assert {one["user"] for one in done} == {"alice"}


def test_one_action_that_fails_does_not_keep_the_other(enrolled, people, tmp_path):
    opened = tmp_path / "opened"
    configure(
        enrolled,
        '[[actions]]\ntype = "command"\narguments = ["false"]\n'
        f'[[actions]]\ntype = "command"\narguments = ["touch", "{opened}"]\n',
    )
    result = enrolled.run("listen", "--input", people["alice"][4])
    assert_error(result, 1, "status 1")
    assert opened.exists() and "accepted: alice" in result.stdout
    assert "unlock failed" in enrolled.run("audit", "show").stdout


def test_sigterm_switches_the_relay_off_at_once(enrolled, people, tmp_path):
    line = Line(tmp_path / "gpio")
    configure(enrolled, f'[[actions]]\ntype = "relay"\npin = {PIN}\npulse_s = 60\n')
    listening = enrolled.start(
        "listen",
        "--input",
        people["alice"][4],
        stdout=subprocess.DEVNULL,
        env={FAKE_VARIABLE: str(line.path)},
    )
    wait_until(lambda: line.is_on)
    listening.terminate()
    _, errors = listening.communicate(timeout=30)
    assert listening.returncode == 143 and b"Traceback" not in errors
    assert not line.is_on and line.pulses()[0] < 30


def test_a_message_without_a_broker_is_refused(enrolled, people):
    configure(enrolled, '[[actions]]\ntype = "mqtt"\ntopic = "door"\n')
    assert_error(enrolled.run("listen", "--input", people["alice"][4]), 1, "broker")


@needs_mosquitto
def test_home_assistant_learns_who_it_was(enrolled, people):
    with Broker() as broker, Reader(broker) as reader:
        configure(
            enrolled,
            '[[actions]]\ntype = "mqtt"\ntopic = "door/opened"\n'
            f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\ntls = false\n',
        )
        with enrolled.start(
            "listen", "--quiet", "--input", "-", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as listening:
            until(lambda: any(topic.endswith("/state") for topic in reader.last))
            samples, _ = soundfile.read(people["alice"][4], dtype="int16")
            listening.stdin.write(samples.tobytes() + bytes(64000))
            listening.stdin.flush()
            assert reader.object("door/opened")["user"] == "alice"
            (topic,) = (topic for topic in reader.last if topic.endswith("/recognised"))
            until(lambda: reader.object(topic)["person"] == "alice")
            listening.stdin.close()
            assert listening.wait(60) == 0, listening.stderr.read()
            listening.stderr.close()
        (topic,) = (topic for topic in reader.last if topic.endswith("/availability"))
        until(lambda: reader.last[topic] == b"offline")
