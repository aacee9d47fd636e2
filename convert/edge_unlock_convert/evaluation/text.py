"""An evaluation as Markdown, for a terminal or a document."""

from collections.abc import Iterator, Sequence

from edge_unlock_convert.evaluation.breakdown import Group
from edge_unlock_convert.evaluation.figures import Figures, Measured
from edge_unlock_convert.evaluation.measurement import COMMON, Result

RATES = ("eer", "frr", "far")
"""Figures whose names begin so are shown in percent."""
NAMES = {
    "eer": "EER %",
    "frr_at_far_0.01": "FRR % at FAR 1e-2",
    "frr_at_far_0.001": "FRR % at FAR 1e-3",
    "frr_at_far_0.0001": "FRR % at FAR 1e-4",
    "min_dcf_0.01": "minDCF, p 0.01",
    "min_dcf_0.001": "minDCF, p 0.001",
    "act_dcf_0.01": "actDCF, p 0.01",
    "act_dcf_0.001": "actDCF, p 0.001",
    "cllr": "Cllr, bits",
    "min_cllr": "min Cllr, bits",
}


def text(result: Result) -> str:
    """All tables, and the worst group by name."""
    parts = [table(rows) for rows in (systems(result), decisions(result), groups(result)) if rows]
    return "\n".join([*parts, *notes(result)]) + "\n"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, of which the first names the columns."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"|{' --- |' * len(rows[0])}", *lines[1:]]) + "\n"


def systems(result: Result) -> list[list[str]]:
    """The figures, a line each, and the encoders, a column each."""
    rows = [["figure (95%)", *(f"{row.system}, {row.scoring}" for row in result.rows)]]
    for label in ("speakers", "targets", "nontargets"):
        rows.append([label, *(f"{getattr(row.figures, label):,}" for row in result.rows)])
    for name, label in NAMES.items():
        rows.append([label, *(_cell(row.figures, name) for row in result.rows)])
    return rows


def decisions(result: Result) -> list[list[str]]:
    """What the device decides at the package's own thresholds."""
    figures = result.rows[0].figures
    points = [name.removeprefix("far ") for name in figures.figures if name.startswith("far ")]
    if not points:
        return []
    rows = [["operating point", "FAR % (95%)", "FRR % (95%)"]]
    return rows + [
        [point, _cell(figures, f"far {point}"), _cell(figures, f"frr {point}")] for point in points
    ]


def groups(result: Result) -> list[list[str]]:
    """The groups, a line each; rates at the threshold that all share."""
    if not result.groups:
        return []
    head = ["by", "group", "speakers", "targets", "EER % (95%)"]
    rows = [[*head, "FAR % at one threshold", "FRR % there"]]
    return rows + [list(_group(one)) for one in result.groups]


def notes(result: Result) -> Iterator[str]:
    """What is to be known beside the tables, in sentences."""
    figures = result.rows[0].figures
    if result.worst is not None:
        eer = result.worst.figures.figures["eer"].value
        yield (
            f"Worst group: {describe(result.worst)}, EER {100 * eer:.1f}% "
            f"(all: {100 * figures.figures['eer'].value:.1f}%)."
        )
    if result.refused:
        yield (
            f"{result.refused} of {result.recordings} recordings the device would not judge but "
            "ask to say it again: too short, quiet, noisy or narrow-band. They are in all figures "
            "but those of the operating points."
        )
    if "cllr" not in figures.figures:
        yield "The package has no calibration: Cllr and actDCF cannot be told."
    for name, figure in figures.figures.items():
        if figure.note:
            yield f"{NAMES.get(name, name)}: {figure.note}."


def describe(group: Group) -> str:
    """A group in words."""
    return f"{group.by}: {group.name}"


def _group(one: Group) -> Iterator[str]:
    figures = one.figures
    yield from (one.by, one.name, f"{figures.speakers:,}", f"{figures.targets:,}")
    yield _cell(figures, "eer")
    yield _cell(figures, f"far {COMMON}")
    yield _cell(figures, f"frr {COMMON}")


def _cell(figures: Figures, name: str) -> str:
    figure = figures.figures.get(name)
    return "-" if figure is None else cell(name, figure)


def cell(name: str, figure: Measured) -> str:
    """A figure with its interval; rates in percent."""
    values = (figure.value, figure.low, figure.high)
    if name.startswith(RATES):
        value, low, high = (
            f"{100 * one:.3g}" if one < 0.01 else f"{100 * one:.1f}" for one in values
        )
    else:
        value, low, high = (f"{one:.3f}" for one in values)
    return f"{value} ({low}-{high}){'*' if figure.note else ''}"
