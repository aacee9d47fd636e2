import os
import socket

import msgspec
import pytest

from edge_unlock.service.notify import Notify
from edge_unlock.service.status import Microphone, Status


def status(state, error=None):
    microphone = Microphone(name="usb", delivers=error is None, since="now", error=error)
    return Status(state=state, version="1", model="m", pid=1, since="now", microphone=microphone)


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """What receives, as the service manager does, and the address that it gives out."""
    address = f"@edge-unlock-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address.replace("@", "\0"))
        receiver.setblocking(False)
        yield receiver, address


def received(manager):
    told = []
    while True:
        try:
            told += manager[0].recv(4096).decode().split("\n")
        except BlockingIOError:
            return told


def test_it_is_ready_once_when_it_first_listens(manager):
    notify = Notify({"NOTIFY_SOCKET": manager[1]})
    notify.update(status("starting"))
    assert received(manager) == ["STATUS=Starting"]
    notify.update(status("listening"))
    assert received(manager) == ["STATUS=Listening", "READY=1"]
    notify.update(status("listening"))
    assert received(manager) == []
    notify.update(status("no microphone", "unplugged"))
    assert received(manager) == ["STATUS=No microphone: unplugged"]
    notify.update(status("stopping"))
    assert received(manager) == ["STATUS=Stopping", "STOPPING=1"]


def test_a_computer_that_does_not_keep_up_is_told(manager):
    notify = Notify({"NOTIFY_SOCKET": manager[1]})
    busy = Microphone(name="usb", delivers=True, since="now", losses=2, overruns=5)
    notify.update(msgspec.structs.replace(status("listening"), microphone=busy))
    assert "STATUS=Listening; too slow for its microphone 3 times" in received(manager)


def test_a_microphone_that_is_away_from_the_start_keeps_nobody_waiting(manager):
    notify = Notify({"NOTIFY_SOCKET": manager[1]})
    notify.update(status("no microphone", "none found"))
    assert "READY=1" in received(manager)


def test_the_watchdog_is_kept_quiet_twice_in_its_time(manager):
    clock = [100.0]
    environment = {"NOTIFY_SOCKET": manager[1], "WATCHDOG_USEC": "10000000"}
    notify = Notify(environment, lambda: clock[0])
    beats = []
    for _ in range(200):  # 20 s
        notify.beat()
        beats += received(manager)
        clock[0] += 0.1
    assert beats == ["WATCHDOG=1"] * 4


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "-5"},
        {"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"},
    ],
)
def test_without_a_watchdog_there_is_no_beat(manager, environment):
    Notify({"NOTIFY_SOCKET": manager[1], **environment}).beat()
    assert received(manager) == []


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@nobody-listens-here"])
def test_a_manager_that_is_not_there_is_no_fault(address):
    notify = Notify({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})
    notify.update(status("listening"))
    notify.beat()


def test_a_manager_that_does_not_read_is_not_waited_for(manager):
    notify = Notify({"NOTIFY_SOCKET": manager[1]})
    for count in range(2000):
        notify.update(status("no microphone", f"failure {count}"))
