import os
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from edge_unlock.errors import StatusError
from edge_unlock.service.socket import NAME, StatusSocket, read_status
from edge_unlock.service.status import Microphone, Status

STATUS = Status(
    state="listening",
    version="1",
    model="m",
    pid=1,
    since="2026-01-31T12:00:00+00:00",
    microphone=Microphone(name="usb", delivers=True, since="2026-01-31T12:00:00+00:00"),
)


def test_whoever_asks_is_told_the_latest(tmp_path):
    assert read_status(tmp_path) is None
    with StatusSocket(tmp_path) as server:
        server.update(STATUS)
        assert read_status(tmp_path) == STATUS
        assert read_status(tmp_path) == STATUS
    assert read_status(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    server.close()


def test_nobody_else_may_connect(tmp_path):
    with StatusSocket(tmp_path):
        assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_one_that_was_killed_is_replaced_and_one_that_lives_is_not(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as killed:
        killed.bind(str(tmp_path / NAME))
    assert read_status(tmp_path) is None
    with StatusSocket(tmp_path) as server:
        server.update(STATUS)
        with pytest.raises(StatusError, match="another"):
            StatusSocket(tmp_path)
        assert read_status(tmp_path) == STATUS


def test_many_may_ask_at_once(tmp_path):
    with StatusSocket(tmp_path) as server, ThreadPoolExecutor(200) as askers:
        server.update(STATUS)
        told = list(askers.map(lambda _: read_status(tmp_path), range(200)))
    assert told == [STATUS] * 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_nobody_else_is_believed(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as planted:
        planted.bind(str(tmp_path / NAME))
        child = os.fork()
        if child == 0:  # who listens is known by who he was then
            os.setuid(65534)
            planted.listen()
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(StatusError, match="65534"):
            read_status(tmp_path)


def test_a_long_path_is_no_obstacle(tmp_path):
    home = tmp_path / ("d" * 120)
    home.mkdir()
    with StatusSocket(home) as server:
        server.update(STATUS)
        assert read_status(home) == STATUS


def test_who_connects_and_goes_or_says_something_disturbs_nobody(tmp_path):
    with StatusSocket(tmp_path) as server:
        server.update(STATUS)
        for _ in range(20):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.connect(str(tmp_path / NAME))
                with suppress(BrokenPipeError):  # it has answered and gone
                    client.send(os.urandom(100))
        assert read_status(tmp_path) == STATUS


@pytest.mark.parametrize("answer", [b"", b"{}", b"[" * 9000, b"\xff", b"{" + b" " * 300_000])
def test_what_is_no_status_is_one_line(tmp_path, answer):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as liar:
        liar.bind(str(tmp_path / NAME))
        liar.listen()

        def lie():
            client, _ = liar.accept()
            with client:
                client.sendall(answer)

        thread = threading.Thread(target=lie)
        thread.start()
        with pytest.raises(StatusError, match="answer"):
            read_status(tmp_path)
        thread.join()


def test_a_directory_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(StatusError, match="no status"):
        StatusSocket(tmp_path / "none")
