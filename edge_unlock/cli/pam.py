"""``pam``: decides a login to this computer, run by pam_exec."""

from __future__ import annotations

import os
import signal
import syslog
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from edge_unlock.cli.options import device_option, input_option
from edge_unlock.cli.session import STREAM, Session
from edge_unlock.cli.streams import STDIN
from edge_unlock.cli.wording import EXIT_CODES, hints, words_of
from edge_unlock.errors import LoginError
from edge_unlock.login.account import FIRST_PERSON, check_account
from edge_unlock.login.logind import CGROUP, check_session
from edge_unlock.login.pam import Login
from edge_unlock.vault.policy import SOLE_FACTOR

if TYPE_CHECKING:
    from edge_unlock.scoring.recognizer import Decision

TRIES = 3
TIME_S = 30.0
"""So long is a voice waited for; who types a password is not to be kept longer."""

HANG_S = 40.0
"""Whatever still runs then hangs, and is killed."""

PROMPT = "Say a whole sentence for {user}, such as your unlock phrase, or wait for the password."

REFUSAL = "a voice does not decide this login"
"""All that who wants in is told of a refusal; the reason is in the system's log."""


@click.command()
@input_option
@device_option
@click.option(
    "--second-factor",
    is_flag=True,
    help="The line is `required`, beside a password. Without, `edge-unlock model accept "
    "--allow-sole-factor` has to have allowed a voice alone.",
)
@click.option(
    "--first-uid",
    type=click.IntRange(min=0),
    metavar="UID",
    default=FIRST_PERSON,
    show_default=True,
    help="Refuse accounts with a lower user id; 0 lets root in by voice.",
)
@click.pass_obj
@click.pass_context
def pam(
    ctx: click.Context,
    session: Session,
    inputs: Sequence[str],
    device: str | None,
    second_factor: bool,
    first_uid: int,
) -> None:
    """Decide a login to this computer; pam_exec runs it, see deploy/pam.

    It lets in whom PAM_USER names, if the voice is theirs: three tries in half a minute. Over a
    network, and for accounts that are locked, it refuses. With any other exit status than 0 the
    password decides. The reason of a refusal is in the system's log.
    """
    deadline_s = time.monotonic() + TIME_S
    _stand_alone()
    who = "a login"
    try:
        login = Login.from_environment(os.environ)
        who = str(login)
        os.environ.clear()  # who wants in must not choose key, sound server or language
        _check_call(ctx, session, inputs)
        check_session(CGROUP.read_text())
        check_account(login.user, first_uid)
        if not second_factor and SOLE_FACTOR not in session.policy.flags:
            raise LoginError("the vault's policy has no voice alone log anybody in")
        outcome = _hear(session, login.user, inputs, device, deadline_s)
    except Exception as error:
        _log(f"{who}: refused: {error}")
        raise LoginError(REFUSAL) from error
    _log(f"{who}: {outcome}")
    ctx.exit(EXIT_CODES[outcome])


def _stand_alone() -> None:
    """Depend on nothing that the caller of a setuid program may have set for its children."""
    for number in (signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGALRM, signal.SIGCHLD))
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    os.umask(0o077)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, STDIN)  # a password may be in it, which is not for us
    os.close(null)


def _check_call(ctx: click.Context, session: Session, inputs: Sequence[str]) -> None:
    """Raise LoginError unless root runs this, with what the PAM line says and nothing else."""
    from edge_unlock.vault import Passphrase, Vault

    if os.getuid() != 0 or os.geteuid() != 0:
        raise LoginError("this is not run as root: pam_exec takes the option seteuid")
    outer = ctx.find_root()
    if outer.get_parameter_source("home") is not ParameterSource.COMMANDLINE:
        raise LoginError("the state directory is not named in the PAM line, by --home")
    for name, option in (("configuration", "--config"), ("package", "--model")):
        said_by = outer.get_parameter_source(name)
        if said_by not in (ParameterSource.COMMANDLINE, ParameterSource.DEFAULT):
            raise LoginError(f"{option} comes from the environment")
    if not session.home.is_absolute():
        raise LoginError(f"the state directory {session.home} is no absolute path")
    if STREAM in inputs:
        raise LoginError("standard input is no microphone")
    if Vault.key_source_kind(session.home) == Passphrase.kind:
        raise LoginError("the vault opens by a passphrase, and nobody is there to enter it")


def _hear(
    session: Session, user: str, inputs: Sequence[str], device: str | None, deadline_s: float
) -> str:
    """Hear ``user`` up to ``TRIES`` times; returns what was decided last, or ``retry``."""
    gatekeeper = session.gatekeeper(user, None, device)
    _say(PROMPT.format(user=user))
    outcome, tries = "retry", 0
    for heard in session.hear_each(inputs, device, deadline_s):
        decision = gatekeeper.judge([heard])
        _tell(decision)
        if decision.decision == "retry":
            continue
        if decision.is_accepted and decision.user != user:
            raise LoginError(f"the voice is that of {decision.user!a}")
        outcome, tries = decision.decision, tries + 1
        if outcome != "rejected" or tries == TRIES:
            break
    return outcome


def _tell(decision: Decision) -> None:
    """Say what to do now, and to a stranger not how near he came."""
    if decision.decision == "rejected":
        _say("This voice is not recognized.")
    elif decision.decision != "retry":
        _say(words_of(decision, show_scores=False))
    for hint in hints(decision):
        _say(hint)


def _say(text: str) -> None:
    """Tell who wants in; that nobody reads it undoes no decision."""
    with suppress(OSError):
        click.echo(text)


def _log(text: str) -> None:
    syslog.openlog("edge-unlock", syslog.LOG_PID, syslog.LOG_AUTHPRIV)
    syslog.syslog(syslog.LOG_NOTICE, text.encode("ascii", "backslashreplace").decode())
