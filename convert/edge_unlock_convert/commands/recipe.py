"""``evaluate --checkpoint``: a package of this project's training, and its card."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_unlock_convert.evaluation.evaluate import Row
    from edge_unlock_convert.scoring.thresholds import Rates


def evaluate_training(  # noqa: PLR0913, PLR0917 - the options of a command
    package: Path,
    speech: Path,
    source: Path,
    others: tuple[str, ...],
    cache: Path,
    output: Path | None,
    into_card: bool,
    draws: int,
) -> None:
    """Measure a package beside the checkpoint that it was made of, and print the tables."""
    from edge_unlock.encoder.package import ModelPackage
    from edge_unlock_convert.evaluation import evaluate as measuring
    from edge_unlock_convert.evaluation import groups
    from edge_unlock_convert.packaging import card, ship
    from edge_unlock_convert.training.noise import split_noise
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
    noise = split_noise(speech, groups.RATE_HZ, training=False)
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
        output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if into_card:
        card.fill(package / card.NAME, text)
    click.echo(text)


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
