import subprocess
import sys
import threading
import time

import pytest

from edge_unlock.actions.command import ENVIRONMENT, Command
from edge_unlock.errors import ActionError
from edge_unlock.scoring.recognizer import Decision
from tests.processes import is_gone
from tests.waiting import until

ACCEPTED = Decision(decision="accepted", user="alice; rm -rf /", score=0.7, threshold=0.5)


def test_the_command_gets_its_arguments_as_they_are_and_learns_who_it_was(tmp_path):
    out = tmp_path / "out"
    script = (
        "import os,sys; open(sys.argv[1],'w').write("
        "'|'.join([sys.argv[2], os.environ['EDGE_UNLOCK_USER'], os.environ['EDGE_UNLOCK_SCORE'],"
        " sys.stdin.read()]))"
    )
    Command(
        [sys.executable, "-c", script, str(out), "$HOME `id` ;"], timeout_s=20, show_score=True
    ).run(ACCEPTED)
    assert out.read_text() == "$HOME `id` ;|alice; rm -rf /|0.7000|"


@pytest.mark.parametrize("decision", ["rejected", "retry", "locked out"])
def test_nothing_runs_but_on_an_acceptance(decision, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ActionError, match="only an acceptance"):
        Command(["touch", str(out)], timeout_s=5).run(Decision(decision=decision, score=0.9))
    assert not out.exists()


def test_a_failing_or_hanging_command_is_an_error():
    with pytest.raises(ActionError, match="status 7"):
        Command([sys.executable, "-c", "raise SystemExit(7)"], timeout_s=20).run(ACCEPTED)
    start = time.monotonic()
    with pytest.raises(ActionError, match="stopped after"):
        Command(["sleep", "60"], timeout_s=0.2).run(ACCEPTED)
    assert time.monotonic() - start < 30


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Makes ``unlock`` in the working directory, which is not on the path."""
    monkeypatch.chdir(tmp_path)

    def make(content, mode):
        path = tmp_path / "unlock"
        path.write_bytes(content)
        path.chmod(mode)
        return path

    return make


@pytest.mark.parametrize(
    ("name", "content", "mode", "message", "hint"),
    [
        ("/nowhere/unlock", b"", 0, "no program", "full path"),
        ("unlok", b"", 0, "no program", "spelling"),
        ("gpioset --mode=time 17=1", b"", 0, "no program", "quotes"),
        ("/", b"", 0, "no program", "directory"),
        ("unlock", b"#!/bin/sh\n", 0o755, "no program", "./unlock"),
        ("./unlock", b"#!/bin/sh\n", 0o644, "must not be executed", "chmod +x ./unlock"),
        ("./unlock", b"echo open\n", 0o755, "what it is to be run with", "#!/bin/sh"),
        ("./unlock", b"", 0o755, "what it is to be run with", "#!/bin/sh"),
        ("./unlock", b"#!/nowhere/sh -e\n", 0o755, "/nowhere/sh", "first line"),
    ],
)
def test_what_cannot_be_run_is_found_before_anybody_speaks(
    program, name, content, mode, message, hint
):
    program(content, mode)
    with pytest.raises(ActionError, match=message) as caught:
        Command([name], timeout_s=5)
    assert hint in caught.value.hint


def test_what_cannot_be_run_any_more_is_an_error(program):
    path = program(b"#!/bin/sh\n", 0o755)
    command = Command([str(path)], timeout_s=20)
    command.run(ACCEPTED)
    path.unlink()
    with pytest.raises(ActionError, match="no program"):
        command.run(ACCEPTED)


@pytest.mark.parametrize("reserved", [False, True])
def test_a_reserved_standard_output_is_kept_clean(capfd, reserved):
    Command(["echo", "relay on"], timeout_s=20, reserved=reserved).run(ACCEPTED)
    out, err = capfd.readouterr()
    assert (out, err) == (("", "relay on\n") if reserved else ("relay on\n", ""))


@pytest.fixture
def relay(tmp_path):
    """A script that switches a relay on, and off when it is asked to end; its child never ends."""
    path = tmp_path / "relay"
    path.write_text(
        f"#!/bin/sh\ntrap 'echo off >> {tmp_path}/log; exit' TERM\n"
        f"sleep 300 & echo $! > {tmp_path}/child\necho on > {tmp_path}/log\nwait\n"
    )
    path.chmod(0o755)
    return path


def test_at_the_timeout_the_relay_is_switched_off_and_nothing_stays_behind(relay):
    with pytest.raises(ActionError, match="stopped after"):
        Command([str(relay)], timeout_s=1).run(ACCEPTED)
    assert (relay.parent / "log").read_text() == "on\noff\n"
    until(lambda: is_gone(int((relay.parent / "child").read_text())))


def test_what_does_not_heed_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_unlock.actions.command.GRACE_S", 0.2)
    script = f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 1; done"
    with pytest.raises(ActionError, match="stopped after"):
        Command(["sh", "-c", script], timeout_s=0.5).run(ACCEPTED)
    until(lambda: is_gone(int((tmp_path / "pid").read_text())))


def test_an_interruption_stops_the_program_too(relay, monkeypatch):
    def interrupted(*_):
        until((relay.parent / "log").exists)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("edge_unlock.actions.command.subprocess.Popen", Impatient)
        Impatient.interrupted = interrupted
        Command([str(relay)], timeout_s=30).run(ACCEPTED)
    assert (relay.parent / "log").read_text() == "on\noff\n"


def test_closing_stops_the_program_at_once_and_starts_no_other(relay, monkeypatch):
    monkeypatch.setattr("edge_unlock.actions.command.CLOSING_GRACE_S", 10.0)  # the machine is busy
    command = Command([str(relay)], timeout_s=30)
    failures = []

    def run():
        with pytest.raises(ActionError, match="stopped") as caught:
            command.run(ACCEPTED)
        failures.append(caught.value.outcome)

    running = threading.Thread(target=run)
    running.start()
    until((relay.parent / "log").exists)
    command.close()
    running.join()
    command.close()
    assert failures == ["stopped"]
    assert (relay.parent / "log").read_text() == "on\noff\n"
    until(lambda: is_gone(int((relay.parent / "child").read_text())))
    with pytest.raises(ActionError, match="not started any more"):
        command.run(ACCEPTED)


class Impatient(subprocess.Popen):
    """A process whose first ``wait`` is interrupted."""

    def wait(self, timeout=None):
        call, self.interrupted = self.interrupted, super().wait
        return call(timeout)


def test_the_program_gets_no_secrets_of_ours(tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setenv("EDGE_UNLOCK_PASSPHRASE_FILE", "/secret")
    monkeypatch.setenv("LD_PRELOAD", "")
    Command(["sh", "-c", f"env > {out}"], timeout_s=20).run(ACCEPTED)
    names = {line.partition("=")[0] for line in out.read_text().splitlines()}
    assert names <= {*ENVIRONMENT, "EDGE_UNLOCK_USER", "PWD", "OLDPWD", "SHLVL", "_"}
    assert "PATH" in names
