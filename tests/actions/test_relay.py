"""The relay: real holders, on a line whose levels a file tells."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edge_unlock.actions import Relay
from edge_unlock.actions.line import FAKE_VARIABLE, open_line
from edge_unlock.errors import ActionError
from edge_unlock.scoring.recognizer import Decision
from tests.gpio import PIN, Line, holders
from tests.processes import children, is_gone
from tests.waiting import LONGEST_S, until

ACCEPTED = Decision(decision="accepted", user="anna")
NEVER_S = 600.0
"""A pulse that is over before has been ended by something else than its clock."""

PARENT = f"""
import sys
from edge_unlock.actions import Relay
from edge_unlock.scoring.recognizer import Decision
with Relay({PIN}, pulse_s=float(sys.argv[1])) as relay:
    relay.run(Decision(decision="accepted", user="anna"))
    print("over", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def line(tmp_path, monkeypatch):
    monkeypatch.setenv(FAKE_VARIABLE, str(tmp_path / "gpio"))
    return Line(tmp_path / "gpio")


@pytest.fixture
def start_parent(line):
    """Starts a process that opens a relay, and waits until it is on; its pid, and its holder's."""
    started = []

    def start(pulse_s):
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(pulse_s)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(parent)
        until(lambda: line.is_on or parent.poll() is not None)
        assert parent.poll() is None, parent.stderr.read()
        (keeper,) = holders(parent.pid)
        (worker,) = children(keeper)
        return parent, keeper, worker

    yield start
    for parent in started:
        parent.kill()
        parent.communicate()


@pytest.fixture
def running(line):
    """A relay in a pulse that does not end by itself: it, its holder, and what ``run`` raised."""
    errors = []
    with Relay(PIN, pulse_s=NEVER_S) as relay:

        def run():
            with pytest.raises(ActionError) as caught:
                relay.run(ACCEPTED)
            errors.append(caught.value)

        (keeper,) = holders(os.getpid())
        thread = threading.Thread(target=run)
        thread.start()
        until(lambda: line.is_on)
        yield relay, keeper, children(keeper)[0], thread, errors


@pytest.mark.parametrize("active_high", [True, False])
def test_each_acceptance_is_one_pulse(line, active_high):
    line = Line(line.path, on=int(active_high))
    with Relay(PIN, active_high=active_high, pulse_s=0.1) as relay:
        assert line.levels() and not line.is_on
        for count in (1, 2, 3):
            relay.run(ACCEPTED)
            assert not line.is_on
            assert len(line.pulses()) == count
    assert not line.levels()[0][1]
    assert all(0.09 < length < 5 for length in line.pulses())


@pytest.mark.parametrize("decision", ["rejected", "retry", "locked out"])
def test_nothing_but_an_acceptance_switches(line, decision):
    with Relay(PIN) as relay, pytest.raises(ActionError, match="only an acceptance"):
        relay.run(Decision(decision=decision))
    assert line.pulses() == []


def test_closing_ends_a_pulse_and_it_never_switches_again(line, running):
    relay, keeper, worker, thread, errors = running
    relay.close()
    thread.join(LONGEST_S)
    assert len(line.pulses()) == 1 and not line.is_on
    assert [error.outcome for error in errors] == ["stopped"]
    until(lambda: is_gone(keeper, worker))
    relay.close()
    with pytest.raises(ActionError, match="switched off"):
        relay.run(ACCEPTED)
    assert len(line.pulses()) == 1


@pytest.mark.parametrize("victim", ["worker", "keeper"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_holder_that_ends_leaves_the_line_off_and_is_replaced(line, running, victim, number):
    _, keeper, worker, thread, errors = running
    os.kill(worker if victim == "worker" else keeper, number)
    thread.join(LONGEST_S)
    assert not line.is_on
    assert [error.outcome for error in errors] == ["failed"]
    until(lambda: is_gone(keeper, worker))
    (replaced,) = holders(os.getpid())
    assert children(replaced)


def test_a_holder_whose_processes_are_both_killed_is_replaced(line, running):
    _, keeper, _, thread, errors = running
    os.killpg(keeper, signal.SIGKILL)
    thread.join(LONGEST_S)
    assert not line.is_on
    assert "died" in str(errors[0])


def test_the_keeper_alone_switches_off_while_nobody_else_can(line, start_parent):
    parent, _, worker = start_parent(NEVER_S)
    parent.send_signal(signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    until(lambda: not line.is_on)


def test_a_holder_that_is_asked_to_end_switches_off_first(line, start_parent):
    parent, keeper, _ = start_parent(NEVER_S)
    parent.send_signal(signal.SIGSTOP)
    os.killpg(keeper, signal.SIGTERM)  # as systemd asks all processes of a service
    until(lambda: not line.is_on)


def test_a_holder_that_hangs_is_replaced(line):
    with Relay(PIN, pulse_s=1) as relay:
        (keeper,) = holders(os.getpid())
        (worker,) = children(keeper)

        def stop():
            until(lambda: line.is_on)
            os.kill(worker, signal.SIGSTOP)

        stopping = threading.Thread(target=stop)
        stopping.start()
        with pytest.raises(ActionError, match="hung"):
            relay.run(ACCEPTED)
        stopping.join()
        assert not line.is_on
        relay.run(ACCEPTED)
    assert len(line.pulses()) == 2


def test_closing_switches_off_though_the_holder_hangs(line, running):
    relay, keeper, worker, thread, errors = running
    os.kill(worker, signal.SIGSTOP)
    relay.close()
    thread.join(LONGEST_S)
    assert not line.is_on
    assert [error.outcome for error in errors] == ["stopped"]
    until(lambda: is_gone(keeper, worker))
    assert not holders(os.getpid())


def test_a_holder_that_dies_while_nobody_needs_it_is_replaced_in_time(line):
    with Relay(PIN, pulse_s=0.1) as relay:
        (keeper,) = holders(os.getpid())
        os.killpg(keeper, signal.SIGKILL)
        until(lambda: is_gone(keeper))
        relay.run(ACCEPTED)
    assert len(line.pulses()) == 1


@pytest.mark.parametrize(
    "numbers",
    [
        [signal.SIGKILL],
        [signal.SIGTERM],
        [signal.SIGINT],
        [signal.SIGABRT],  # what systemd sends at a missed watchdog
        [signal.SIGSTOP, signal.SIGKILL],
    ],
)
def test_the_line_is_off_when_whoever_used_it_ends(line, start_parent, numbers):
    parent, keeper, worker = start_parent(NEVER_S)
    for number in numbers:
        parent.send_signal(number)
    parent.wait(LONGEST_S)
    until(lambda: not line.is_on)
    until(lambda: is_gone(keeper, worker))


def test_a_pulse_ends_in_time_while_whoever_used_it_is_stopped(line, start_parent):
    parent, _, _ = start_parent(0.5)
    parent.send_signal(signal.SIGSTOP)
    until(lambda: not line.is_on)
    time.sleep(0.2)
    assert len(line.pulses()) == 1
    parent.send_signal(signal.SIGCONT)
    assert parent.stdout.readline() == "over\n", parent.stderr.read()


@pytest.fixture
def spoken_to(line):
    """A holder, and the socket that is its standard input and output; it is ready."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        holder = subprocess.Popen(
            [sys.executable, "-m", "edge_unlock.actions.holder", str(PIN), "high", str(NEVER_S)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
        )
        assert ours.recv(1) == b"0"
        yield ours, holder
        holder.kill()
        holder.wait(LONGEST_S)


@pytest.mark.parametrize("said", [b"x", b"++", b"\0" * 1000, b"+x", b"1", b"open"])
def test_what_is_not_to_be_said_to_a_holder_ends_it(line, spoken_to, said):
    ours, holder = spoken_to
    ours.send(said)
    holder.wait(LONGEST_S)
    assert line.pulses() == []


def test_who_asks_twice_does_not_make_a_pulse_longer(line, spoken_to):
    ours, holder = spoken_to
    ours.send(b"+")
    assert ours.recv(1) == b"1"
    ours.send(b"+")
    holder.wait(LONGEST_S)
    assert not line.is_on
    assert len(line.pulses()) == 1


@pytest.mark.usefixtures("line")
def test_a_line_in_use_or_absent_is_told_before_anybody_speaks():
    with Relay(PIN), pytest.raises(ActionError, match=f"GPIO{PIN} cannot be used") as caught:
        Relay(PIN)
    assert "another program" in caught.value.hint
    with pytest.raises(ActionError, match="no GPIO53") as caught:
        Relay(53)
    assert "config.toml" in caught.value.hint


def test_a_machine_without_gpio_is_told(monkeypatch):
    monkeypatch.delenv(FAKE_VARIABLE, raising=False)
    monkeypatch.chdir("/proc/self")  # where nobody can write, as a service often cannot
    with pytest.raises(ActionError, match="Pi revision") as caught:
        Relay(PIN)
    assert "Raspberry Pi" in caught.value.hint


@pytest.mark.parametrize("name", ["gpiozero", "lgpio"])
def test_a_missing_library_is_told(tmp_path, monkeypatch, name):
    monkeypatch.delenv(FAKE_VARIABLE, raising=False)
    (tmp_path / f"{name}.py").write_text(f"raise ImportError('no {name}')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ActionError, match=f"no {name}") as caught:
        Relay(PIN)
    assert "edge-unlock[relay]" in caught.value.hint


def test_a_holder_is_light():
    code = "import sys, edge_unlock.actions.holder, gpiozero; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert not {b"numpy", b"click", b"msgspec", b"cryptography"} & set(modules.split())


def test_a_holder_knows_no_secrets_of_ours(line, monkeypatch):
    monkeypatch.setenv("EDGE_UNLOCK_PASSPHRASE_FILE", "/secret")
    with Relay(PIN):
        (keeper,) = holders(os.getpid())
        environment = Path(f"/proc/{keeper}/environ").read_bytes()
    assert FAKE_VARIABLE.encode() in environment
    assert b"PASSPHRASE" not in environment


@pytest.mark.parametrize("active_high", [True, False])
def test_a_real_line_is_an_output_at_its_off_level_from_the_first_moment(monkeypatch, active_high):
    """No GPIO here: what gpiozero asks of lgpio is all that can be seen."""
    lgpio = pytest.importorskip("gpiozero.pins.lgpio").lgpio
    asked = []
    for name in ("gpiochip_open", "gpio_claim_input", "gpio_free", "gpio_claim_output"):
        monkeypatch.setattr(
            lgpio, name, lambda *arguments, name=name: asked.append((name, *arguments)) or 0
        )
    monkeypatch.setattr("gpiozero.pins.lgpio.LGPIOFactory._get_revision", lambda _: 0xA02082)
    monkeypatch.delenv(FAKE_VARIABLE, raising=False)
    open_line(PIN, active_high)
    off, pull = (0, lgpio.SET_PULL_DOWN) if active_high else (1, lgpio.SET_PULL_UP)
    outputs = [call for call in asked if call[0] == "gpio_claim_output"]
    assert outputs == [("gpio_claim_output", 0, PIN, off, pull)]
