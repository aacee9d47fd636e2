"""``evaluate``: measures a package beside other encoders, and writes it into its card."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_unlock_convert.evaluation.evaluate import Row
    from edge_unlock_convert.scoring.thresholds import Rates

EXISTING = click.Path(path_type=Path, exists=True)


@click.command()
@click.argument("package", type=EXISTING)
@click.option(
    "--speech",
    type=EXISTING,
    required=True,
    help="A folder a speaker, or a manifest; with --checkpoint one with the splits eval, train "
    "(held-out speakers, cohort) and noise.",
)
@click.option("--split", help="Split of a manifest [default: all of it; with --checkpoint: eval].")
@click.option(
    "--checkpoint",
    "source",
    type=EXISTING,
    help="The directory of this project's training that the package was made of: tells of "
    "conditions, groups and decisions, too.",
)
@click.option(
    "--system", "others", multiple=True, metavar="NAME=module:function", help="Another encoder."
)
@click.option("--cache", type=click.Path(path_type=Path), help="For embeddings, with --checkpoint.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option("--card", "into_card", is_flag=True, help="Write the tables into the package's card.")
@click.option("--draws", default=100, show_default=True, help="Resamplings for the intervals.")
def evaluate(  # noqa: PLR0913, PLR0917 - the options of a command
    package: Path,
    speech: Path,
    split: str | None,
    source: Path | None,
    others: tuple[str, ...],
    cache: Path | None,
    output: Path | None,
    into_card: bool,
    draws: int,
) -> None:
    """Measure a package beside other encoders, and print the tables.

    Any package on any speech that names its speakers, four recordings or more of each.
    """
    if source is None:
        if cache is not None or into_card:
            raise click.UsageError("--cache and --card belong to --checkpoint.")
        _outside(package, speech, split, others, output, draws)
        return
    if cache is None or split is not None:
        raise click.UsageError("--checkpoint needs --cache, and takes no --split.")
    from edge_unlock.encoder.package import ModelPackage
    from edge_unlock_convert.evaluation import evaluate as measuring
    from edge_unlock_convert.evaluation import groups
    from edge_unlock_convert.packaging import card, ship
    from edge_unlock_convert.packaging.package import write_file
    from edge_unlock_convert.training.recipe import Recipe

    recipe = Recipe.load(source / "recipe.toml")
    systems = [
        measuring.package_system(package),
        measuring.checkpoint_system(source),
        *map(measuring.other_system, others),
    ]
    parts = ship.Parts.read(speech, recipe)
    cohort = ship.one_piece_a_speaker(
        parts.trained, ship.COHORT_SPEAKERS, groups.RATE_HZ, recipe.seed + 1
    )
    evaluation = measuring.Evaluation(systems, cohort, parts.held_out, cache, draws)
    noise = groups.split_noise(speech, training=False)
    rows = measuring.table(evaluation, groups.groups(speech, recipe), noise)
    decisions = measuring.decisions(ModelPackage.load(package), speech, recipe)
    text = f"{error_table(rows)}\n{decision_table(decisions)}"
    if output is not None:
        figures: dict[str, Any] = {
            "error_rates": [row._asdict() for row in rows],
            "decisions": {
                point: {speech: rates._asdict() for speech, rates in found.items()}
                for point, found in decisions.items()
            },
        }
        write_file(output, json.dumps(figures, indent=1).encode() + b"\n")
    if into_card:
        card.fill(package / card.NAME, text)
    click.echo(text)


def _outside(
    path: Path,
    speech: Path,
    split: str | None,
    others: tuple[str, ...],
    output: Path | None,
    draws: int,
) -> None:
    from edge_unlock.encoder.package import ModelPackage
    from edge_unlock_convert.evaluation import evaluate as measuring
    from edge_unlock_convert.evaluation.outside import measure
    from edge_unlock_convert.packaging.package import write_file
    from edge_unlock_convert.speech import Source, Speech
    from edge_unlock_convert.terminal import stage

    package = ModelPackage.load(path)
    systems = [measuring.package_system(path), *map(measuring.other_system, others)]
    heard = Speech(Source(speech, split))
    with stage("reading the speech", len(heard)) as progress:
        rows = measure(package, systems, heard, draws, progress)
    if output is not None:
        figures = {"error_rates": [row._asdict() for row in rows]}
        write_file(output, json.dumps(figures, indent=1).encode() + b"\n")
    click.echo(error_table(rows))


def error_table(rows: "Sequence[Row]") -> str:
    """The rows as Markdown."""
    lines = [
        "| encoder | speech | condition | enrolled with | score | speakers | EER % (95%) "
        "| FRR % at FAR 1e-2 (95%) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        lines.append(
            f"| {row.system} | {row.corpus} | {row.condition} | {row.enroll} "
            f"| {row.scoring} | {row.speakers} "
            f"| {_percent(row.eer, row.eer_interval)} | {_percent(row.frr, row.frr_interval)} |"
        )
    return "\n".join(lines) + "\n"


def decision_table(decisions: Mapping[str, Mapping[str, "Rates"]]) -> str:
    """What the device decides at its thresholds, as Markdown."""
    lines = [
        "| operating point | speech | targets | FAR % | FRR % |",
        "| --- | --- | --- | --- | --- |",
    ]
    for point, found in decisions.items():
        for speech, rates in found.items():
            lines.append(
                f"| {point} | {speech} | {rates.targets} | {100 * rates.false_accepts:.2f} "
                f"| {100 * rates.false_rejects:.1f} |"
            )
    return "\n".join(lines) + "\n"


def _percent(value: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{100 * value:.1f} ({100 * low:.1f}-{100 * high:.1f})"
