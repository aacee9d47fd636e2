"""One page that tells of an evaluation: tables and pictures, nothing to load."""

from collections.abc import Mapping, Sequence
from html import escape

from matplotlib.figure import Figure

from edge_unlock_convert.evaluation import plots, text
from edge_unlock_convert.evaluation.measurement import Measurement

PAGE = "report.html"
FIGURES = "figures.json"
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d5d9de; --soft: #f4f6f8 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7eb; --paper: #14171a; --line: #3a4047; --soft: #1e2328 }
}
body { color: var(--ink); background: var(--paper); font: 16px/1.5 system-ui, sans-serif;
  max-width: 68rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .25rem .7rem; border-bottom: 1px solid var(--line);
  white-space: nowrap }
th { background: var(--soft) }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(27rem, 100%), 1fr));
  gap: 1rem; margin-top: 1.5rem }
figure { margin: 0; max-width: 44rem }
figcaption { font-size: .9rem } svg { width: 100%; height: auto }
.note { border-left: 3px solid var(--line); padding-left: .8rem }
dt { font-weight: 600 }
"""
TERMS = {
    "EER": "the rate at which as many same-speaker trials are rejected as different-speaker trials "
    "are accepted.",
    "FRR at FAR": "the share of same-speaker trials that is rejected at the threshold that accepts "
    "so many of the different-speaker trials.",
    "minDCF, actDCF": "NIST's detection cost, 1 for a system that ignores the voice: at the best "
    "threshold, and at the one that the likelihood ratio prescribes.",
    "Cllr, min Cllr": "the cost of the likelihood ratios in bits, 1 for no evidence: as they are, "
    "and after the best calibration that these trials allow. Their difference is miscalibration.",
    "95%": "the interval, by drawing speakers with replacement. Where no error was seen, its end "
    "is 3 divided by the number of trials, as if they were independent.",
    "one threshold": "groups are compared at the threshold that accepts one of a hundred "
    "different-speaker trials of all groups together.",
}


def pictures(found: Measurement) -> dict[str, tuple[Figure, str]]:
    """The pictures by name, each with what it shows."""
    device = found.scored[0]
    curves = [
        plots.Curve(f"{row.system}, {row.scoring}", scored)
        for row, scored in zip(found.result.rows, found.scored, strict=True)
    ]
    made = {
        "det": (plots.det(curves), "DET: the trade between both errors."),
        "tippett": (plots.tippett(device), "Tippett plot: how often evidence is how strong."),
        "scores": (plots.histogram(device), "The scores of both kinds of trials."),
    }
    if found.result.groups:
        made["groups"] = (plots.by_group(found.result.groups), "EER by group.")
    return made


def files(found: Measurement) -> dict[str, bytes]:
    """What is written, by file name: the page, its pictures, and the figures for machines."""
    made = pictures(found)
    return {
        PAGE: page(found, made).encode(),
        FIGURES: found.result.to_json(),
        **{f"{name}.png": plots.png(figure) for name, (figure, _) in made.items()},
    }


def page(found: Measurement, made: Mapping[str, tuple[Figure, str]]) -> str:
    """The page as HTML."""
    result = found.result
    shown = {name: picture(*one) for name, one in made.items()}
    groups = shown.pop("groups", "")
    title = f"Evaluation of {result.subject['package']}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        *(f'<p class="note">{escape(one)}</p>' for one in text.notes(result)),
        _section("What was measured", table([["", ""], *map(list, result.subject.items())])),
        _section("Figures", table(text.systems(result))),
        f'<div class="pictures">{"".join(shown.values())}</div>',
        _section("At the package's thresholds", table(text.decisions(result))),
        _section("Groups", table(text.groups(result)) + groups if result.groups else ""),
        _section("Terms", _terms()),
    ]
    return whole(title, parts)


def whole(title: str, parts: Sequence[str], style: str = "") -> str:
    """A page of its parts; ``style`` is added to that of all pages."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{body}" if body else ""


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its head; an empty head is left out."""
    if not rows:
        return ""
    head, *rest = rows
    lines = [_row("th", head)] if any(head) else []
    lines += [_row("td", row) for row in rest]
    return f'<div class="wide"><table>\n{chr(10).join(lines)}\n</table></div>'


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def picture(figure: Figure, caption: str) -> str:
    """A picture within the page, and what it shows."""
    return f"<figure>{plots.svg(figure)}<figcaption>{escape(caption)}</figcaption></figure>\n"


def _terms() -> str:
    pairs = (f"<dt>{escape(one)}</dt><dd>{escape(said)}</dd>" for one, said in TERMS.items())
    return f"<dl>{''.join(pairs)}</dl>"
