"""A real PAM stack, its accounts and its system log, in namespaces of their own.

Debian's ``pamtester`` asks Linux-PAM, which runs the command by ``pam_exec`` and falls through to
``pam_unix``. The services, /etc/passwd, /etc/shadow and /dev are this test's own, mounted where
no other process sees them; for that ``unshare`` makes the user that runs the tests root there.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SERVICE = "edge-unlock-test"
GROUP = "edge-unlock-login"
COMMON_AUTH = """
auth [success=1 default=ignore] pam_unix.so nullok nodelay
auth requisite pam_deny.so
auth required pam_permit.so
"""
"""As Debian has it, but for the wait after a wrong password."""

PASSWORD = "correct"
DEVICES = ("null", "zero", "full", "random", "urandom")
NEEDED = "the tests need unshare and Debian's pamtester; see deploy/setup.sh"


def is_possible() -> bool:
    """Whether this machine has pamtester, and lets us have namespaces of our own."""
    if shutil.which("pamtester") is None:
        return False
    mounting = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "mount",
        "--bind",
        "/tmp",
        "/mnt",
    ]
    return subprocess.run(mounting, capture_output=True, check=False).returncode == 0


class Account(NamedTuple):
    """A line of passwd(5) and of shadow(5)."""

    name: str
    uid: int = 1000
    shell: str = "/bin/sh"
    lock: str = ""
    """What stands before the password's hash."""
    changed: str = "19000"
    expires: str = ""


@dataclass(frozen=True)
class Answer:
    """What PAM said: whether it let in, what was shown, and what was logged."""

    let_in: bool
    shown: str
    log: str

    @property
    def asked_for_password(self) -> bool:
        return "Password:" in self.shown


class Stack:
    """``with Stack(Account("alice")) as stack: stack.log_in("alice", ["auth ..."])``."""

    def __init__(self, *accounts: Account) -> None:
        self._temporary = tempfile.TemporaryDirectory()  # short: the name of a socket is in it
        self._at = Path(self._temporary.name)
        for name in ("pam.d", "dev"):
            (self._at / name).mkdir()
        for device in DEVICES:
            (self._at / "dev" / device).touch()
        self.set_accounts(*accounts)
        (self._at / "group").write_text(f"root:x:0:\n{GROUP}:x:5000:alice,bob\n")
        (self._at / "pam.d" / "common-auth").write_text(COMMON_AUTH)
        self._log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._log.bind(str(self._at / "dev" / "log"))
        self._log.setblocking(False)
        self.services = self._at / "pam.d"
        self.mounts: list[tuple[Path, str]] = []
        """What else is seen there, and where."""

    def __enter__(self) -> "Stack":
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()
        self._temporary.cleanup()

    def set_accounts(self, *accounts: Account) -> None:
        digest = subprocess.run(
            ["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True
        ).stdout.strip()
        root = Account("root", 0, lock="*")
        (self._at / "passwd").write_text(
            "".join(f"{a.name}:x:{a.uid}:0::/:{a.shell}\n" for a in (root, *accounts))
        )
        shadow = self._at / "shadow"
        shadow.write_text(
            "".join(
                f"{a.name}:{a.lock}{digest}:{a.changed}:0:99999:7::{a.expires}:\n"
                for a in (root, *accounts)
            )
        )
        shadow.chmod(0o600)

    def be_in_session(self, name: str, loginctl: str) -> None:
        """Have the command run in a session of logind; ``loginctl`` is a shell script."""
        (self._at / "cgroup").write_text(f"0::/user.slice/user-1000.slice/session-{name}.scope\n")
        program = self._at / "loginctl"
        program.write_text(f"#!/bin/sh\n{loginctl}\n")
        program.chmod(0o755)
        self.mounts.append((program, "/usr/bin/loginctl"))

    def command(self, *arguments: object, set_up: str = "") -> list[str]:
        """The command of this checkout as deploy/pam runs it; ``set_up`` runs in it before.

        It takes itself for a login at this computer, however the tests are run.
        """
        entry, cgroup = self._at / "entry.py", self._at / "cgroup"
        if not cgroup.exists():
            cgroup.write_text("0::/\n")
        entry.write_text(
            f"import pathlib, sys\nsys.path.insert(0, {str(ROOT)!r})\n"
            f"import edge_unlock.cli.pam as pam\npam.CGROUP = pathlib.Path({str(cgroup)!r})\n"
            f"{set_up}\n"
            "from edge_unlock.__main__ import main\nmain()\n"
        )
        return [sys.executable, "-I", str(entry), *map(str, arguments)]

    def log_in(
        self,
        user: str | bytes,
        lines: Sequence[str],
        *,
        password: str = "",
        items: Sequence[str] = (),
        environment: Sequence[str] = (),
        before: str = "",
    ) -> Answer:
        """Let PAM decide by the ``lines`` of a service; ``before`` is a line of shell."""
        return self.finish(
            self.start(user, lines, items=items, environment=environment, before=before), password
        )

    def start(
        self,
        user: str | bytes,
        lines: Sequence[str],
        *,
        items: Sequence[str] = (),
        environment: Sequence[str] = (),
        before: str = "",
    ) -> "subprocess.Popen[bytes]":
        """Begin a login, to be ended by ``finish``; what is shown comes line by line."""
        (self.services / SERVICE).write_text("\n".join(lines) + "\n")
        given = [part for item in items for part in ("-I", item)]
        given += [part for one in environment for part in ("-E", one)]
        return self.run(
            ["stdbuf", "-oL", "pamtester", *given, "--", SERVICE, user, "authenticate"], before
        )

    def run(self, command: Sequence[str | bytes], before: str = "") -> "subprocess.Popen[bytes]":
        """Run a command where the accounts and services are those of this stack."""
        mounts = [f"mount --bind /dev/{name} {self._at}/dev/{name}" for name in DEVICES]
        mounts += [
            f"mount --rbind {self._at}/dev /dev",
            f"mount --bind {self._at}/pam.d /etc/pam.d",
            f"mount --bind {self._at}/passwd /etc/passwd",
            f"mount --bind {self._at}/shadow /etc/shadow",
            f"mount --bind {self._at}/group /etc/group",
        ]
        mounts += [f"mount --bind {here} {there}" for here, there in self.mounts]
        script = " && ".join(mounts) + f" || exit 99; {before}\n" + 'exec "$@"'
        return subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"]},
        )

    def finish(self, process: "subprocess.Popen[bytes]", password: str = "") -> Answer:
        """Type the password and wait."""
        shown, _ = process.communicate(f"{password}\n".encode(), timeout=120)
        text = shown.decode(errors="replace")
        assert process.returncode in (0, 1), f"{text}\n{NEEDED}"
        assert "Traceback" not in text
        return Answer(process.returncode == 0, text, self._logged())

    def _logged(self) -> str:
        """What came to the system's log since it was last asked for, of edge-unlock."""
        lines = []
        try:
            while True:
                lines.append(self._log.recv(65536).decode(errors="replace"))
        except BlockingIOError:
            return "\n".join(line for line in lines if " edge-unlock[" in line)
