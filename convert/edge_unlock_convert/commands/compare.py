"""``compare``: what quantization did to a checkpoint."""

from pathlib import Path
from typing import Any

import click

from edge_unlock_convert.commands.naming import named, naming_options
from edge_unlock_convert.commands.quantize import PATH
from edge_unlock_convert.terminal import show, stage
from edge_unlock_convert.writing import write


@click.command()
@click.argument("checkpoint", type=PATH)
@click.argument("package", type=PATH)
@click.option("--speech", type=PATH, required=True, help="A folder of recordings or a manifest.")
@click.option("--split", help="Split of a manifest to compare on.")
@click.option(
    "--utterances", type=click.IntRange(2), default=500, show_default=True, help="At most so many."
)
@click.option("--json", "json_path", type=PATH, help="Write the figures to this file (-: stdout).")
@click.option("--png", "png_path", type=PATH, help="Write a picture of scores and DET curves.")
@naming_options
def compare(**options: Any) -> None:
    """Compare the float CHECKPOINT with the PACKAGE that was made of it, on speech.

    Shows the cosine of the embeddings, each layer's signal-to-quantization-noise ratio, and,
    where speakers are named, the EER of both and how many decisions change.
    """
    from edge_unlock.encoder.package import ModelPackage
    from edge_unlock_convert import checkpoint as checkpoints
    from edge_unlock_convert.errors import ConversionError
    from edge_unlock_convert.front_end import FrontEnd
    from edge_unlock_convert.packaging.card import quantization_rows
    from edge_unlock_convert.packaging.comparison import (
        TARGET_UTTERANCES,
        Encoding,
        compare_on_speech,
    )
    from edge_unlock_convert.packaging.manifest import FOLDED
    from edge_unlock_convert.speech import Source, Speech

    package = ModelPackage.load(options["package"])
    manifest = package.manifest
    if FOLDED in manifest.accuracy:
        raise ConversionError(
            f"{options['package']} has its features folded into its weights, which are no longer "
            "those of the checkpoint",
            "Its MODEL_CARD.md shows what `quantize` measured.",
        )
    front_end = FrontEnd(
        features=manifest.features,
        normalization=manifest.normalization,
        encoder=manifest.encoder,
    )
    with stage("reading the checkpoint", None):
        network = checkpoints.read(options["checkpoint"], named(options, manifest.encoder.pooling))
    front_end.check_fits(network)
    source = Source(options["speech"], options["split"])
    result, trials = compare_on_speech(
        Encoding(network, package.model, front_end),
        Speech(source, options["utterances"], together=TARGET_UTTERANCES),
        stage,
    )
    if options["png_path"]:
        from edge_unlock_convert.quantization import plot

        if trials is None or result.error_rates is None:
            raise ConversionError(
                "there are no trials to draw",
                "Give speech in one folder a speaker, with four recordings or more of each.",
            )
        write(options["png_path"], plot.draw(trials, result.error_rates.threshold))
    if options["json_path"] == Path("-"):
        click.echo(result.to_json(), nl=False)
        return
    if options["json_path"]:
        write(options["json_path"], result.to_json())
    show(quantization_rows(result), f"{options['checkpoint']} and {options['package']}")
