"""Whether the session that we run in is one at this computer, as systemd-logind knows it.

What PAM tells is not enough: of a session over SSH ``sudo`` names neither host nor variables.
"""

import re
import subprocess
from pathlib import Path
from typing import Final

from edge_unlock.errors import LoginError

CGROUP: Final = Path("/proc/self/cgroup")
LOGINCTL: Final = "/usr/bin/loginctl"
TIMEOUT_S: Final = 5.0

_SESSION: Final = re.compile(r"/session-(\w+)\.scope")
_USER_MANAGER: Final = re.compile(r"/user@(\d+)\.service")


def check_session(cgroup: str) -> None:
    """Raise LoginError where ``cgroup``, as of proc(5), is of a session over a network.

    What runs under a user's own systemd, as terminals of a desktop do, may belong to any of that
    user's sessions: each has to be at this computer. What belongs to no session, as a greeter
    and a login at the console, may go on.
    """
    if found := _SESSION.search(cgroup):
        sessions = [found[1]]
    elif found := _USER_MANAGER.search(cgroup):
        sessions = _ask("show-user", found[1], "Sessions").split()
        if not sessions:
            raise LoginError(f"user id {found[1]} has no session at this computer")
    else:
        return
    for session in sessions:
        if _ask("show-session", session, "Remote") != "no":
            raise LoginError(f"session {session} is not known to be at this computer")


def _ask(verb: str, subject: str, name: str) -> str:
    """One property; empty where logind does not tell it."""
    try:
        answer = subprocess.run(
            [LOGINCTL, verb, subject, f"--property={name}", "--value"],
            env={"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LoginError(f"{LOGINCTL} does not tell of {subject}") from error
    return answer.stdout.decode(errors="replace").strip()
