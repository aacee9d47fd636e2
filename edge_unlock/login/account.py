"""Whether an account of this computer is one that may be logged in to.

PAM's own account check comes after a voice was accepted, and not all programs ask for it.
"""

import pwd
import subprocess
import time
from pathlib import Path
from typing import Final

from edge_unlock.errors import LoginError

FIRST_PERSON: Final = 1000
"""The first user id of people; below are root and services (UID_MIN of login.defs)."""

SHELLS: Final = Path("/etc/shells")
NO_SHELLS: Final = ("nologin", "false")
"""Programs that end a login at once; some systems list them as shells."""

GETENT: Final = "/usr/bin/getent"
"""Reads /etc/shadow and whatever nsswitch.conf names beside it; Python has lost its ``spwd``."""

TIMEOUT_S: Final = 5.0
_DAY_S: Final = 86_400
_SHADOW_FIELDS: Final = 9
_NO_PASSWORD: Final = ("", "!", "*")


def check_account(name: str, first_uid: int = FIRST_PERSON) -> None:
    """Raise LoginError unless ``name`` may log in here, with a password of its own.

    Its user id is at least ``first_uid``, it has a login shell, its password is not locked, and
    neither that nor the account has expired. What cannot be found out counts as no.
    """
    try:
        account = pwd.getpwnam(name)
    except KeyError as error:
        raise LoginError(f"there is no account {name}") from error
    if account.pw_name != name:  # some directories take Anna for anna
        raise LoginError(f"the account {name} is called {account.pw_name!a}")
    if account.pw_uid < first_uid:
        raise LoginError(f"the account {name} has user id {account.pw_uid}, below {first_uid}")
    shell = Path(account.pw_shell or "/bin/sh")
    if shell.name in NO_SHELLS or str(shell) not in _shells():
        raise LoginError(f"the account {name} has no login shell, but {account.pw_shell!a}")
    check_shadow(_shadow(name), name, int(time.time() // _DAY_S))


def check_shadow(line: str, name: str, today: int) -> None:
    """Raise LoginError unless ``line``, of shadow(5), is of an account that is open ``today``.

    Days are counted from 1970 on, as there.
    """
    fields = line.split(":")
    if len(fields) != _SHADOW_FIELDS or fields[0] != name:
        raise LoginError(f"nothing is known of the password of the account {name}")
    password = fields[1]
    if password[:1] in _NO_PASSWORD:
        raise LoginError(f"the account {name} is locked, or has no password")
    try:
        changed, most, expires = (int(fields[at]) if fields[at] else None for at in (2, 4, 7))
    except ValueError as error:
        raise LoginError(f"what is known of the account {name} is not understood") from error
    if expires is not None and expires >= 0 and today >= expires:
        raise LoginError(f"the account {name} has expired")
    if changed is None or changed < 0:  # passwords do not grow old here
        return
    if changed == 0 or (most is not None and most >= 0 and today - changed > most):
        raise LoginError(f"the password of the account {name} has to be changed")


def _shells() -> list[str]:
    """What the system has as login shells; see shells(5)."""
    try:
        lines = SHELLS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise LoginError(f"{SHELLS}: {error.strerror}") from error
    return [line.strip() for line in lines if line.startswith("/")]


def _shadow(name: str) -> str:
    """The account's line of shadow(5); empty where there is none, or we may not see it."""
    try:
        answer = subprocess.run(
            [GETENT, "shadow", name],
            env={"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LoginError(f"{GETENT} does not tell of the account {name}") from error
    return answer.stdout.decode(errors="replace").removesuffix("\n")
