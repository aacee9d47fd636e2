"""Options that say which layers of a checkpoint make the encoder, the same for all commands."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edge_unlock_convert.checkpoint import Options
    from edge_unlock_convert.network import Pooling

_OPTIONS = (
    click.option("--lstm", multiple=True, help="Name of an LSTM module, first to last."),
    click.option("--embedding", multiple=True, help="Layers to the embedding; ends at the last."),
    click.option("--attention", help="Name of the dense layer that weighs the steps."),
    click.option(
        "--activation",
        multiple=True,
        type=click.Choice(("linear", "relu")),
        help="What follows each --embedding, where the checkpoint does not say.",
    ),
    click.option("--drop", multiple=True, help="Name of a tensor to leave behind."),
)


def naming_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--lstm``, ``--embedding``, ``--attention``, ``--activation``, ``--drop``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def named(options: dict[str, Any], pooling: "Pooling | None") -> "Options":
    """What was said of the checkpoint on the command line."""
    from edge_unlock_convert.checkpoint import Options

    return Options(
        lstm=list(options["lstm"]),
        embedding=list(options["embedding"]),
        attention=options["attention"],
        activation=list(options["activation"]),
        drop=list(options["drop"]),
        pooling=pooling,
    )
