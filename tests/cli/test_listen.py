"""``listen``: what it decides and prints, its actions, and its reports to the real peers."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

from edge_unlock.actions.line import FAKE_VARIABLE
from tests.broker import Broker, Reader, needs_mosquitto
from tests.cli.conftest import assert_error
from tests.gpio import PIN, Line
from tests.waiting import until


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
    until(lambda: line.is_on)
    listening.terminate()
    _, errors = listening.communicate(timeout=30)
    assert listening.returncode == 143 and b"Traceback" not in errors
    assert not line.is_on and line.pulses()[0] < 30


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_command_that_a_signal_stops_is_in_the_log(enrolled, people, tmp_path, number):
    begun = tmp_path / "begun"
    script = f"touch {begun}; sleep 60"
    with enrolled.start(
        *("listen", "--input", people["alice"][4], "--on-unlock", "sh", "-c", script),
        stdout=subprocess.DEVNULL,
    ) as listening:
        until(begun.exists)
        listening.send_signal(number)
        _, errors = listening.communicate(timeout=30)
    assert listening.returncode == 128 + number and b"Abort" not in errors
    told = enrolled.run("audit", "show", "--json").stdout.splitlines()
    events = [json.loads(entry)["event"] for entry in told]
    assert events[-2:] == ["accepted", "unlock stopped"], errors


def test_waiting_takes_one_thread_and_that_of_the_status(enrolled):
    """Those of a library would spin between blocks, on a core of their own."""
    with enrolled.start("listen", "--input", "-", stdin=subprocess.PIPE) as listening:
        listening.stdin.write(bytes(32_000))
        listening.stdin.flush()
        until((enrolled.home / "status.sock").exists)
        until(lambda: enrolled.run("status").exit_code == 0)
        assert len(list(Path(f"/proc/{listening.pid}/task").iterdir())) == 2
        listening.communicate(timeout=60)


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


@needs_mosquitto
def test_a_broker_that_refuses_is_told(enrolled, people, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("guess")
    secret.chmod(0o600)
    with Broker(password=True) as broker:
        configure(
            enrolled,
            f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\ntls = false\n'
            f'username = "lock"\npassword_file = "{secret}"\n',
        )
        with enrolled.start("listen", "--input", "-", stdin=subprocess.PIPE) as listening:
            until(lambda: enrolled.run("status").exit_code == 0)
            for _ in range(100):
                listening.stdin.write(bytes(3200))
                listening.stdin.flush()
                told = json.loads(enrolled.run("status", "--json").stdout)
                error = (told["link"] or {}).get("error", "")
                if "authori" in error:
                    break
                time.sleep(0.1)
            assert error == "the broker refuses: Not authorized"
            assert "not connected (" in enrolled.run("status").stdout
            _, errors = listening.communicate(timeout=60)
    assert b"MQTT broker 127.0.0.1" in errors and b"tried again" in errors


def test_listen_decides_on_each_utterance(enrolled, people):
    result = enrolled.run(
        "listen", "--json", "--input", people["bob"][4], "--input", people["alice"][4]
    )
    decisions = [json.loads(line)["decision"] for line in result.stdout.splitlines()]
    assert decisions[-1] == "accepted" and "rejected" in decisions
    assert result.exit_code == 0


@pytest.mark.parametrize("chosen", ["option", "configuration"])
def test_a_clear_match_is_accepted_before_it_ends(enrolled, people, chosen):
    arguments = ["listen", "--json", "--once", "--input", people["alice"][4]]
    whole = json.loads(enrolled.run(*arguments).stdout)
    if chosen == "option":
        arguments.append("--early")
    else:
        configure(enrolled, "early = true\n")
    early = json.loads(enrolled.run(*arguments).stdout)
    assert early["decision"] == "accepted" and early["match"] == "clear match"
    assert 1 <= early["seconds"] < whole["seconds"]
    rejected = enrolled.run("listen", "--early", "--json", "--input", people["bob"][4])
    assert [json.loads(one)["decision"] for one in rejected.stdout.splitlines()] == ["rejected"]
    assert "accepted" in enrolled.run("audit", "show").stdout


def test_listen_once_stops_at_the_first_decision(enrolled, people):
    result = enrolled.run(
        "listen", "--once", "--input", people["bob"][4], "--input", people["alice"][4]
    )
    assert result.exit_code == 3
    assert len(result.stdout.splitlines()) == 1


def test_listen_for_one_user_rejects_the_others(enrolled, people):
    enrolled.enroll("bob", people["bob"][:4])
    result = enrolled.run("listen", "--once", "--user", "alice", "--input", people["bob"][4])
    assert result.exit_code == 3


def test_the_unlock_command_runs_on_acceptance_only(enrolled, people, tmp_path):
    opened = tmp_path / "opened"
    script = "import os,sys; open(sys.argv[1], 'w').write(os.environ['EDGE_UNLOCK_USER'])"
    action = ("--on-unlock", sys.executable, "-c", script, opened)
    rejected = enrolled.run("listen", "--once", "--input", people["bob"][4], *action)
    assert rejected.exit_code == 3 and not opened.exists()
    accepted = enrolled.run("listen", "--once", "--input", people["alice"][4], *action)
    assert accepted.exit_code == 0 and opened.read_text() == "alice"


def test_the_unlock_command_learns_the_score_only_where_it_is_shown(enrolled, people, tmp_path):
    out = tmp_path / "out"
    arguments = ("listen", "--once", "--input", people["alice"][4])
    action = ("--on-unlock", "sh", "-c", f'echo "<$EDGE_UNLOCK_SCORE>" > {out}')
    environment = {"EDGE_UNLOCK_SCORE": "0.9"}  # of a caller, and not of this decision
    assert enrolled.run(*arguments, *action, **environment).exit_code == 0
    assert out.read_text() == "<>\n"
    assert enrolled.run(*arguments, "--show-scores", *action, **environment).exit_code == 0
    assert re.fullmatch(r"<-?\d\.\d{4}>\n", out.read_text()) and "0.9000" not in out.read_text()


def test_a_failing_unlock_command_is_an_error(enrolled, people):
    result = enrolled.run("listen", "--input", people["alice"][4], "--on-unlock", "false")
    assert_error(result, 1, "status 1")
    assert enrolled.run("listen", "--on-unlock").exit_code == 2


def test_an_unlock_command_that_cannot_be_run_is_told_before_anybody_speaks(enrolled, people):
    before = enrolled.state()
    arguments = ("listen", "--once", "--input", people["alice"][4])
    result = enrolled.run(*arguments, "--on-unlock", "touch opened")
    assert_error(result, 1, "touch opened")
    assert "quotes" in result.stderr
    assert enrolled.state() == before
    assert enrolled.run(*arguments, "--on-unlock=").exit_code == 2


def test_the_unlock_command_may_follow_an_equals_sign(enrolled, people, tmp_path):
    opened = tmp_path / "opened"
    arguments = ("listen", "--once", "--input", people["alice"][4])
    assert enrolled.run(*arguments, "--on-unlock=touch", opened).exit_code == 0
    assert opened.exists()


def test_what_the_unlock_command_prints_stays_out_of_json(enrolled, people):
    arguments = ("listen", "--json", "--once", "--input", people["alice"][4])
    with enrolled.start(*arguments, "--on-unlock", "echo", "on", stdout=subprocess.PIPE) as child:
        out, err = child.communicate()
    assert json.loads(out)["decision"] == "accepted"
    assert b"on\n" in err


def test_a_person_watching_sees_a_timed_line_for_each_decision(enrolled, people):
    arguments = ("listen", "--input", people["bob"][4], "--input", people["alice"][4])
    result = enrolled.run(*arguments)
    lines = result.stdout.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d  (accepted|rejected|retry)", line) for line in lines)
    assert "accepted: alice" in lines[-1] and not result.stderr
    quiet = enrolled.run(*arguments, "--quiet")
    assert quiet.exit_code == 0 and not quiet.output
    failing = enrolled.run(*arguments, "--quiet", "--on-unlock", "false")
    assert not failing.stdout and "status 1" in failing.stderr


@pytest.fixture
def zhanna(initialized, people):
    assert initialized.enroll("Жанна", people["alice"][:4]).exit_code == 0
    return initialized


def unlock(zhanna, people, opened, *options, **where):
    action = ("--on-unlock", "touch", opened)
    arguments = ("listen", "--once", *options, "--input", people["alice"][4], *action)
    with zhanna.start(*arguments, **where) as listening:
        out, err = listening.communicate()
    return listening.returncode, out, err.decode()


def test_a_name_that_the_terminal_cannot_show_unlocks(zhanna, people, tmp_path):
    where = {"env": {"PYTHONIOENCODING": "latin-1"}, "stdout": subprocess.PIPE}
    opened = tmp_path / "opened"
    exit_code, out, err = unlock(zhanna, people, opened, **where)
    assert opened.exists() and (exit_code, err) == (0, "")
    assert rb"\u0416" in out
    exit_code, out, err = unlock(zhanna, people, opened, "--json", **where)
    assert (exit_code, err) == (0, "")
    assert json.loads(out)["user"] == "Жанна"


def test_a_full_disk_does_not_keep_the_door_shut(zhanna, people, tmp_path):
    opened = tmp_path / "opened"
    with Path("/dev/full").open("wb") as full:
        exit_code, _, err = unlock(zhanna, people, opened, stdout=full)
    assert opened.exists() and exit_code == 1
    what, hint = err.splitlines()
    assert "No space left" in what and hint.startswith("hint: ") and "defect" not in hint


def test_a_closed_standard_output_does_not_keep_the_door_shut(zhanna, people, tmp_path):
    opened = tmp_path / "opened"
    exit_code, _, err = unlock(zhanna, people, opened, preexec_fn=lambda: os.close(1))
    assert opened.exists() and (exit_code, err) == (0, "")


class Listening:
    """A ``listen`` in a process of its own that is spoken to through a pipe."""

    def __init__(self, installation, *options):
        self._process = installation.start(
            "listen",
            "--json",
            "--input",
            "-",
            *options,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def say(self, path):
        """What it decides on a recording, and a pause."""
        samples, _ = soundfile.read(path, dtype="int16")
        self._process.stdin.write(samples.tobytes() + bytes(64000))
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        return told["decision"], told["user"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        assert self._process.wait(50) == 0, self._process.stderr.read()
        self._process.stdout.close()
        self._process.stderr.close()


def test_a_running_listen_decides_on_who_is_enrolled_now(enrolled, people):
    (enrolled.home / "config.toml").write_text("refractory_s = 0.0\n")
    (enrolled.home / "config.toml").chmod(0o600)
    with Listening(enrolled) as listening:
        alice, bob = people["alice"][4], people["bob"][4]
        assert listening.say(alice) == ("accepted", "alice")
        assert listening.say(bob) == ("rejected", None)
        assert enrolled.run("remove", "alice", "--yes").exit_code == 0
        assert listening.say(alice) == ("rejected", None)
        assert enrolled.enroll("bob", people["bob"][:4]).exit_code == 0
        assert listening.say(bob) == ("accepted", "bob")
        assert enrolled.enroll("bob", people["alice"][:4], "--replace").exit_code == 0
        assert listening.say(bob) == ("rejected", None)
        assert listening.say(alice) == ("accepted", "bob")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_listen_and_its_unlock_command_in_order(enrolled, people, tmp_path, number):
    log = tmp_path / "log"
    relay = tmp_path / "relay"
    relay.write_text(
        f"#!/bin/sh\ntrap 'echo off >> {log}; exit' TERM\necho on > {log}\nsleep 60 & wait\n"
    )
    relay.chmod(0o755)
    listen = enrolled.start(
        "listen", "--input", people["alice"][4], "--on-unlock", relay, stdout=subprocess.DEVNULL
    )
    until(log.exists)
    for again in (number, signal.SIGTERM, signal.SIGHUP):  # a second one breaks off nothing
        listen.send_signal(again)
    _, errors = listen.communicate(timeout=20)
    assert listen.returncode in (128 + signal.SIGTERM, 128 + signal.SIGHUP)
    assert b"Traceback" not in errors
    assert log.read_text() == "on\noff\n"
