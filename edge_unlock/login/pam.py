"""A login, as PAM tells of it in the environment of a program that pam_exec runs.

The names are those of pam_exec(8). Whoever wants in may have chosen some of what they say, so
nothing of it is believed that would open more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from edge_unlock.errors import LoginError, UserNameError
from edge_unlock.vault.names import validate_user_name

MAX_CHARACTERS: Final = 256
"""Longer values are none that a login program sets."""

REMOTE_VARIABLES: Final = (
    "PAM_RHOST",
    "REMOTEHOST",
    "SSH_AUTH_INFO_0",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_ORIGINAL_COMMAND",
    "SSH_TTY",
)
"""Each of them says that somebody comes over a network: the voice here need not be theirs."""

SSH_TTY: Final = "ssh"
"""What sshd calls the terminal before there is one."""


@dataclass(frozen=True)
class Login:
    """Somebody at this computer wants to be let in as ``user``.

    All are printable and short; ``user`` is a name that the vault accepts, exactly as it is
    spelled there.
    """

    user: str
    service: str = ""
    """The program that asks, such as ``sudo``."""
    tty: str = ""
    """The terminal (``/dev/pts/1``) or display (``:0``) where they are."""
    requester: str = ""
    """Who they are so far, where the program tells: for ``sudo`` the one who calls it."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read what pam_exec says; raises LoginError where no voice is to decide.

        That is where it comes over a network, asks for something else than who it is, or has
        a value that no login program would set.
        """
        kind = environment.get("PAM_TYPE", "")
        if kind != "auth":
            raise LoginError(
                f"PAM_TYPE is {kind[:MAX_CHARACTERS]!a}: this is no question of who somebody is",
                "Run it by pam_exec, in a line that begins with auth.",
            )
        for name in REMOTE_VARIABLES:
            if environment.get(name):
                raise LoginError(f"somebody logs in over a network: {name} is set")
        tty = _read(environment, "PAM_TTY")
        host, colon, _ = tty.partition(":")  # as of an X display
        if tty == SSH_TTY or (colon and host):
            raise LoginError(f"somebody logs in over a network: PAM_TTY is {tty!a}")
        return cls(
            _user(_read(environment, "PAM_USER")),
            _read(environment, "PAM_SERVICE"),
            tty,
            _read(environment, "PAM_RUSER"),
        )

    def __str__(self) -> str:
        return f"{self.user} at {self.service or 'a login'}"


def _user(name: str) -> str:
    """The name, if it is one by which somebody can be enrolled."""
    try:
        spelled = validate_user_name(name)
    except UserNameError as error:
        raise LoginError(str(error)) from error
    if spelled != name:  # two accounts must not share one voice
        raise LoginError(f"{name!a} is not as the vault spells it, {spelled!a}")
    return name


def _read(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if len(value) > MAX_CHARACTERS or not value.isprintable():
        raise LoginError(f"{name} is no text of a login program")
    return value
