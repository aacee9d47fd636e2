"""``ship`` and ``thresholds``: a checkpoint of this project to the package that ships."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_unlock.encoder.signature import SIGNATURE_NAME
from edge_unlock_convert.commands.quantize import read_object

if TYPE_CHECKING:
    from edge_unlock.encoder.package import Manifest
    from edge_unlock_convert.scoring.thresholds import Judged

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
    from edge_unlock_convert.packaging import ship as packaging
    from edge_unlock_convert.packaging.manifest import Identity
    from edge_unlock_convert.packaging.package import check_target, package_name, write_package
    from edge_unlock_convert.terminal import stage

    check_target(output, replace=force)
    identity = Identity(package_name(output), model_version, read_object(training))
    shipped = packaging.ship(source, speech, identity, stage)
    write_package(output, shipped.files, replace=force)
    click.echo(f"{output}: {shipped.manifest.name} {shipped.manifest.version}")
    _tell(shipped.manifest, shipped.judged)


@click.command(name="thresholds")
@click.argument("package", type=EXISTING)
@click.option("--checkpoint", type=EXISTING, required=True, help="What it was shipped from.")
@click.option("--speech", type=EXISTING, required=True, help="What it was shipped with.")
def set_thresholds(package: Path, checkpoint: Path, speech: Path) -> None:
    """Set the calibration and the thresholds of PACKAGE anew; network and cohort stay.

    Templates stay good. A signature has to be made again.
    """
    from edge_unlock.encoder.package import MANIFEST_NAME, ModelPackage
    from edge_unlock_convert.packaging import card
    from edge_unlock_convert.packaging import ship as packaging
    from edge_unlock_convert.packaging.package import write_package
    from edge_unlock_convert.terminal import stage

    found = ModelPackage.load(package)
    manifest, judged = packaging.decide(found, checkpoint, speech, stage)
    files = {path.name: path.read_bytes() for path in package.iterdir() if path.is_file()}
    files.pop(SIGNATURE_NAME, None)
    write_package(package, {**files, MANIFEST_NAME: manifest.to_json()}, replace=True)
    if card.NAME in files:
        card.set_operating_points(package / card.NAME, manifest)
    _tell(manifest, judged)


def _tell(manifest: "Manifest", every: "Mapping[str, Judged]") -> None:
    from edge_unlock_convert.scoring import thresholds
    from edge_unlock_convert.scoring.metrics import eer
    from edge_unlock_convert.terminal import printable

    for name, judged in every.items():
        rates = thresholds.rates(judged, manifest)
        click.echo(
            f"held-out {printable(name)}: EER {100 * eer(*judged.split()):.2f}%; at the default "
            f"threshold FAR {100 * rates.false_accepts:.2f}%, FRR {100 * rates.false_rejects:.1f}%"
        )
    if manifest.nontarget is not None:
        click.echo(
            "false-accept rates of a corpus that was not learned on: off by a factor of up to "
            f"{manifest.nontarget.spread:.1f}"
        )
