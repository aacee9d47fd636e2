"""``describe``: what is in a checkpoint, before it is converted."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_unlock_convert.commands.naming import named, naming_options
from edge_unlock_convert.commands.quantize import PATH, POOLINGS

if TYPE_CHECKING:
    from edge_unlock_convert.checkpoint.description import Description
    from edge_unlock_convert.front_end import FrontEnd, FrontEndAnswers


@click.command()
@click.argument("checkpoint", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="For another program.")
@click.option("--front-end", metavar="FILE|NAME", help="As for quantize.")
@click.option(
    "--coefficients", type=click.IntRange(1), default=40, show_default=True, help="As for quantize."
)
@click.option("--frames-stacked", type=click.IntRange(1), help="As for quantize.")
@click.option("--pooling", type=click.Choice(POOLINGS), help="As for quantize.")
@naming_options
def describe(**options: Any) -> None:
    """Show what is in CHECKPOINT, what would be converted, what is assumed and what is missing.

    Takes the options of quantize that say what the checkpoint does not. Nothing is written.
    """
    from edge_unlock_convert import checkpoint as checkpoints
    from edge_unlock_convert.commands.quantize import answers
    from edge_unlock_convert.front_end import FrontEnd, find_front_end
    from edge_unlock_convert.terminal import show

    path: Path = options["checkpoint"]
    given = find_front_end(path, options["front_end"])
    front_end = given if isinstance(given, FrontEnd) else answers(options, given)
    pooling = front_end.encoder.pooling if isinstance(front_end, FrontEnd) else front_end.pooling
    found = _with_front_end(checkpoints.describe(path, named(options, pooling)), front_end)
    if options["as_json"]:
        click.echo(found.to_json(), nl=False)
        return
    rows = [(one.name, one.kind, one.shape, one.use) for one in found.layers]
    show(rows, f"{path}: layers", ("layer", "kind", "shape", "use"))
    show(found.rows(), f"{path}: as a network", ("what", "found"))


def _with_front_end(found: "Description", front_end: "FrontEnd | FrontEndAnswers") -> "Description":
    """With what would stand before the network, as far as it is assumed or does not fit."""
    from msgspec.structs import replace

    from edge_unlock_convert.checkpoint.description import Missing
    from edge_unlock_convert.errors import CheckpointError
    from edge_unlock_convert.front_end import FrontEnd

    size = found.network.input_size if found.network else None
    missing = list(found.missing)
    if isinstance(front_end, FrontEnd):
        if size not in (None, front_end.input_size):
            missing.append(
                Missing(
                    f"the front end gives {front_end.input_size} numbers a step",
                    "Give the front end that the network was trained with.",
                )
            )
        return replace(found, missing=tuple(missing))
    assumed = [*found.assumed, *front_end.assumptions()]
    try:
        if size is not None:
            assumed.append(f"assumed: frames in a step: {front_end.stacked(size)}")
    except CheckpointError as error:
        missing.append(Missing(str(error), error.hint or ""))
    return replace(found, assumed=tuple(assumed), missing=tuple(missing))
