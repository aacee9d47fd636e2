"""The local socket on which a running ``listen`` tells its status: one JSON object, then the end.

It lies in the state directory, and only who may use that, its owner and root, can connect.
"""

import errno
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import Struct
from threading import Thread
from typing import Final

import msgspec

from edge_unlock.closing import Closing
from edge_unlock.errors import StatusError
from edge_unlock.service.status import Status

NAME: Final = "status.sock"
PATIENCE_S: Final = 2.0
"""Nobody is waited for longer, on either side."""
PAUSE_S: Final = 0.2
PASSING: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ECONNABORTED)
"""What keeps a client from being answered, but not the next one."""
MAX_STATUS_BYTES: Final = 256 * 1024
_CREDENTIALS: Final = Struct("3i")  # struct ucred of unix(7): process, user, group


class StatusSocket(Closing):
    """An Observer that answers whoever connects with the latest status.

    Raises:
        StatusError: another ``listen`` answers there already, or it cannot be made.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / NAME
        self._status: Status | None = None
        self._server = _bound(home)
        self._thread = Thread(target=self._serve, name="status", daemon=True)
        self._thread.start()

    def update(self, status: Status) -> None:
        """Have this one told from now on."""
        self._status = status

    def close(self) -> None:
        """Answer nobody any more; calling it again does nothing."""
        if self._server.fileno() < 0:
            return
        with suppress(OSError):
            self._path.unlink()
        with suppress(OSError):  # wakes the thread up
            self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE_S)
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError as error:
                if error.errno not in PASSING:
                    return
                time.sleep(PAUSE_S)
                continue
            with client, suppress(OSError):
                client.settimeout(PATIENCE_S)
                client.sendall(msgspec.json.encode(self._status))


def read_status(home: Path) -> Status | None:
    """What a ``listen`` with this state directory tells; None if there is none.

    Raises ``StatusError`` for one that cannot be asked, or does not answer as it should.
    """
    data = bytearray()
    try:
        with _connected(home) as client:
            _check_peer(client, home)
            while len(data) <= MAX_STATUS_BYTES and (some := client.recv(65_536)):
                data += some
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except OSError as error:
        raise StatusError(
            f"{home / NAME} cannot be asked: {error.strerror or error}",
            "Ask as the user who listens, or as root.",
        ) from error
    try:
        return msgspec.json.decode(bytes(data), type=Status)
    except msgspec.MsgspecError as error:
        raise StatusError(
            f"{home / NAME} does not answer as it should", "Restart what listens there."
        ) from error


def _check_peer(client: socket.socket, home: Path) -> None:
    """Raise StatusError unless who answers is root, we, or the owner of the state directory."""
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(credentials)
    if user not in (0, os.geteuid(), home.stat().st_uid):
        raise StatusError(
            f"at {home / NAME} user id {user} answers, to whom the vault does not belong",
            "Delete it, and see who may write to the state directory.",
        )


def _bound(home: Path) -> socket.socket:
    """A socket to be connected to; one that nobody answers at any more is replaced."""
    try:
        with suppress(FileNotFoundError, ConnectionRefusedError), _connected(home):
            raise StatusError(
                "another `listen` uses this state directory", "Stop it, or go without its status."
            )
        (home / NAME).unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _short(home) as directory:
                server.bind(f"{directory}/{NAME}")
            (home / NAME).chmod(0o600)
            server.listen()
        except BaseException:
            server.close()
            raise
    except OSError as error:
        raise StatusError(
            f"no status can be told at {home / NAME}: {error.strerror or error}",
            "Make the state directory writable.",
        ) from error
    return server


@contextmanager
def _connected(home: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client, _short(home) as directory:
        client.settimeout(PATIENCE_S)
        _connect(client, f"{directory}/{NAME}")
        yield client


def _connect(client: socket.socket, address: str) -> None:
    """Connect, where many do at once as soon as there is room: a local socket does not wait."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            client.connect(address)
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                raise
            time.sleep(PAUSE_S / 10)
        else:
            return


@contextmanager
def _short(home: Path) -> Iterator[str]:
    """A short name of the directory: that of a socket has 107 bytes at most (unix(7))."""
    descriptor = os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
