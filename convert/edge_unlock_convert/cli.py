"""The command line of the workstation. PyTorch and ONNX are never imported here."""

import importlib
import os
import sys
import traceback
from typing import Any, NamedTuple

import click

from edge_unlock.errors import EdgeUnlockError
from edge_unlock_convert.terminal import printable

DEBUG_VARIABLE = "EDGE_UNLOCK_DEBUG"
INSTALL_HINT = "pip install 'edge-unlock[convert]', or 'edge-unlock[train]' to train."


class _Entry(NamedTuple):
    """Where a command is, and what the overview says of it without loading it."""

    module: str
    attribute: str
    summary: str


COMMANDS = {
    name: _Entry(f"edge_unlock_convert.{module}", attribute, summary)
    for name, module, attribute, summary in (
        ("quantize", "commands.quantize", "quantize", "A checkpoint to a verified package."),
        ("describe", "commands.describe", "describe", "What is in a checkpoint."),
        ("compare", "commands.compare", "compare", "What quantization did to a checkpoint."),
        ("inspect", "commands.package", "inspect", "What a package is made of."),
        ("sign", "commands.package", "sign", "Sign a package."),
        ("verify", "commands.package", "verify", "Check the signature of a package."),
        ("pin", "commands.package", "pin", "Make a package the one that ships."),
        ("voices", "training.command", "voices_command", "Speech to pieces and pseudo-speakers."),
        ("train", "training.command", "train_command", "Train an encoder as a recipe says."),
        ("ship", "commands.ship", "ship", "A project checkpoint to the package that ships."),
        ("thresholds", "commands.ship", "set_thresholds", "Set a package's thresholds anew."),
        ("evaluate", "commands.evaluate", "evaluate", "Measure a package beside other encoders."),
        (
            "compare-recordings",
            "commands.compare_recordings",
            "compare_recordings",
            "How strong the evidence of a voice is.",
        ),
        (
            "verify-report",
            "commands.compare_recordings",
            "verify_report",
            "Check the signature of such a report.",
        ),
    )
}


class _Group(click.Group):
    """Loads commands when they are asked for, and turns errors into one line and a hint."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = getattr(importlib.import_module(entry.module), entry.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run the command line."""
        try:
            return super().main(*args, **settings)
        except Exception as error:  # whatever it is, it must not look like success
            if os.environ.get(DEBUG_VARIABLE) == "1":
                traceback.print_exc()
            sys.exit(_report(error))


def _report(error: Exception) -> int:
    """Say in one line what went wrong, in another what to do; returns the exit code."""
    exit_code = 1
    if isinstance(error, EdgeUnlockError):
        # some name several faults, a line each
        message = "\n".join(map(printable, str(error).split("\n")))
        hint, exit_code = error.hint, error.exit_code
    elif isinstance(error, ImportError):  # of a library that the device does not need
        message, hint = printable(str(error)), INSTALL_HINT
    elif isinstance(error, OSError) and error.strerror:
        message = printable(f"{error.filename or 'standard output'}: {error.strerror}")
        hint = f"Give another path, or check its permissions. {DEBUG_VARIABLE}=1 shows where."
    elif isinstance(error, MemoryError):
        message, hint = "the machine has not memory enough", "Close programs, or give less speech."
    else:
        message = printable(f"unexpected {type(error).__name__}: {error}")
        hint = f"This is a defect. {DEBUG_VARIABLE}=1 shows where."
    click.echo(f"edge-unlock-convert: error: {message}", err=True)
    click.echo(f"hint: {printable(hint)}", err=True)
    return exit_code


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edge-unlock")
def main() -> None:
    """Turn a trained LSTM speaker encoder into a verified model package for the device."""
