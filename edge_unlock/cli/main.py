"""The command group: its options, and how errors leave it."""

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from edge_unlock.cli.audit import audit
from edge_unlock.cli.calibrate import calibrate
from edge_unlock.cli.config import config
from edge_unlock.cli.enroll import enroll
from edge_unlock.cli.hear import identify, verify
from edge_unlock.cli.listen import listen
from edge_unlock.cli.model import model
from edge_unlock.cli.pam import pam
from edge_unlock.cli.relay import relay_off
from edge_unlock.cli.session import Session
from edge_unlock.cli.status import status
from edge_unlock.cli.store import enable, export, import_, init, list_, rekey, remove
from edge_unlock.cli.system import bench, demo, devices, doctor, version
from edge_unlock.cli.wyoming import wyoming
from edge_unlock.errors import EdgeUnlockError, UnansweredError

DEBUG_VARIABLE = "EDGE_UNLOCK_DEBUG"
NO_VARIABLE = ""


class _Group(click.Group):
    """Turns every failure into one line, a hint and an exit code; tracebacks on request only."""

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run the command line.

        Shells ask for completions by a variable and no argument. Where one stands it is a command,
        which must not end as if it had been done because of what the environment says.
        """
        words = args[0] if args else settings.get("args")
        if sys.argv[1:] if words is None else words:
            settings["complete_var"] = NO_VARIABLE
        try:
            return super().main(*args, **settings)
        except Exception as error:  # whatever it is, it must not look like success
            if os.environ.get(DEBUG_VARIABLE):
                traceback.print_exc()
            sys.exit(_report(error))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.Abort as abort:
            if isinstance(abort.__context__, EOFError):  # click makes the same of it as of Ctrl-C
                click.echo(err=True)  # ends the line of the question
                raise UnansweredError("nobody answered: standard input is at its end") from abort
            raise


def _report(error: Exception) -> int:
    """Say in one line what went wrong, in another what to do; returns the exit code."""
    if isinstance(error, EdgeUnlockError):
        message, hint, exit_code = str(error), error.hint, error.exit_code
    elif isinstance(error, OSError) and error.strerror:
        # the state directory and the sources tell of their own; a stream is left
        where = error.filename or "standard output"
        message, exit_code = f"{where}: {error.strerror}", 1
        hint = f"Is there room on the disk? Set {DEBUG_VARIABLE}=1 to see more."
    else:
        message = f"unexpected {type(error).__name__}: {error}"
        hint, exit_code = f"This is a defect. Set {DEBUG_VARIABLE}=1 to see where.", 1
    click.echo(f"edge-unlock: error: {' '.join(message.split())}", err=True)
    click.echo(f"hint: {hint}", err=True)
    return exit_code


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 accepted or done, 1 error, 2 usage, 3 rejected, 4 no usable speech, "
    "5 locked out. Unlock on 0 only.",
)
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="EDGE_UNLOCK_HOME",
    help="State directory: the vault and config.toml.  [default: the user's data directory]",
)
@click.option(
    "--config",
    "configuration",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="EDGE_UNLOCK_CONFIG",
    help="Configuration file.  [default: config.toml in the state directory]",
)
@click.option(
    "--model",
    "package",
    type=click.Path(path_type=Path),
    envvar="EDGE_UNLOCK_MODEL",
    help="Directory of a model package.  [default: the one that ships]",
)
@click.pass_context
def main(
    ctx: click.Context, home: Path | None, configuration: Path | None, package: Path | None
) -> None:
    """Unlock by voice, offline: enroll a person once, then listen."""
    ctx.obj = ctx.with_resource(Session(home, package, configuration))


for command in (
    init,
    enroll,
    verify,
    identify,
    listen,
    pam,
    status,
    calibrate,
    list_,
    remove,
    enable,
    export,
    import_,
    rekey,
    audit,
    wyoming,
    model,
    config,
    relay_off,
    devices,
    doctor,
    demo,
    bench,
    version,
):
    main.add_command(command)
