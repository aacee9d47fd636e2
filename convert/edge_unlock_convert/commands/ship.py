"""``ship``: a checkpoint of this project's training to the package that ships."""

from pathlib import Path

import click

from edge_unlock_convert.commands.quantize import read_object

EXISTING = click.Path(path_type=Path, exists=True)


@click.command()
@click.argument("source", metavar="CHECKPOINT", type=EXISTING)
@click.option(
    "--speech",
    type=EXISTING,
    required=True,
    help="What it was trained on: a manifest, or a directory of speaker folders.",
)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="The package.")
@click.option("--model-version", default="1", show_default=True, help="Version in the manifest.")
@click.option("--training", type=EXISTING, help="JSON object for the card: data and licences.")
@click.option("--force", is_flag=True, help="Replace a package that exists.")
def ship(
    source: Path,
    speech: Path,
    output: Path,
    model_version: str,
    training: Path | None,
    force: bool,
) -> None:
    """Make the package that ships: int8 network, cohort, calibration and thresholds."""
    from edge_unlock_convert import quantize, thresholds
    from edge_unlock_convert import ship as packaging
    from edge_unlock_convert.metrics import eer
    from edge_unlock_convert.package import check_target, write_package
    from edge_unlock_convert.terminal import stage

    check_target(output, replace=force)
    identity = quantize.Identity(output.resolve().name, model_version, read_object(training))
    shipped = packaging.ship(source, speech, identity, stage)
    write_package(output, shipped.files, replace=force)
    click.echo(f"{output}: {shipped.manifest.name} {shipped.manifest.version}")
    for name, judged in shipped.judged.items():
        rates = thresholds.rates(judged, shipped.manifest)
        click.echo(
            f"held-out {name}: EER {100 * eer(*judged.split()):.2f}%; at the default threshold "
            f"FAR {100 * rates.false_accepts:.2f}%, FRR {100 * rates.false_rejects:.1f}%"
        )
