"""The command line of the workstation. TensorFlow and PyTorch are never imported here."""

import importlib
import os
from typing import Any

import click

from edge_unlock.errors import EdgeUnlockError

COMMANDS = {
    "quantize": "edge_unlock_convert.commands.quantize",
    "compare": "edge_unlock_convert.commands.compare",
    "inspect": "edge_unlock_convert.commands.package",
    "sign": "edge_unlock_convert.commands.package",
    "verify": "edge_unlock_convert.commands.package",
}
"""Each command and the module that holds it under its own name; loaded when it is asked for."""


class _Group(click.Group):
    """Loads commands when they are asked for, and turns errors into one line and a hint."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(importlib.import_module(module), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EdgeUnlockError as error:
            if os.environ.get("EDGE_UNLOCK_DEBUG") == "1":
                raise
            click.echo(f"edge-unlock-convert: error: {error}", err=True)
            if error.hint:
                click.echo(f"hint: {error.hint}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edge-unlock")
def main() -> None:
    """Turn a trained LSTM speaker encoder into a verified model package for the device."""
