"""The comparison of ``side_by_side.py`` as Markdown."""

import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cost import Cost

from edge_unlock.errors import ConfigError
from edge_unlock_convert.evaluation.figures import Figures
from edge_unlock_convert.evaluation.text import cell, table

BEGIN, END = "<!-- side by side: begin -->", "<!-- side by side: end -->"
SHOWN = {"eer": "EER %", "frr_at_far_0.01": "FRR % at FAR 1e-2"}
Errors = Mapping[tuple[str, str], Mapping[str, Figures]]
"""By encoder and scoring, then by part of the speech."""


class Subject(NamedTuple):
    """When, with which source and on which machine it was measured."""

    date: str
    commit: str
    machine: str
    load: float

    @classmethod
    def now(cls, time: datetime) -> "Subject":
        """Of this machine at ``time``."""
        return cls(f"{time:%Y-%m-%d}", _commit(), _machine(), os.getloadavg()[0])


def text(
    subject: Subject, costs: Mapping[str, Sequence[Cost]], errors: Errors, strangers: int
) -> str:
    """Both tables, and what must be known to read them."""
    rounds = len(next(iter(costs.values())))
    made = (
        f"Measured {subject.date} at commit {subject.commit} on {subject.machine}, with a load of "
        f"{subject.load:.1f} to {os.getloadavg()[0]:.1f}. Of {rounds} runs of each encoder, in "
        "turns, the median; times are of the processor, and in brackets on a clock."
    )
    trials = "; ".join(
        f"{part}: {one.speakers} speakers, {one.targets:,} target and {one.nontargets:,} "
        "non-target trials"
        for part, one in next(iter(errors.values())).items()
    )
    said = (
        f"{trials}. In brackets what other speakers might have given (95%). Removed is the mean of "
        f"{strangers} other people."
    )
    return "\n".join([table(cost_rows(costs)), table(error_rows(errors)), said, "", made, ""])


def cost_rows(costs: Mapping[str, Sequence[Cost]]) -> list[list[str]]:
    """Encoders, a line each. Ratios are to the first one, run by run."""
    head = ["encoder", "package", "weights", "peak memory", "real-time factor, one core"]
    reference, first = next(iter(costs.items()))
    rows = [[*head, f"x {reference}", "cold start"]]
    for name, runs in costs.items():
        ratios = [one.share_cpu / other.share_cpu for one, other in zip(runs, first, strict=True)]
        rows.append(
            [
                name,
                runs[0].origin,
                f"{runs[0].weights_mb:.1f} MB",
                f"{_median(runs, lambda one: one.peak_mb):.0f} MB",
                f"{_median(runs, lambda one: one.share_cpu):.3f} "
                f"({_median(runs, lambda one: one.share_wall):.3f})",
                f"{np.median(ratios):.1f}",
                f"{_median(runs, lambda one: one.start_cpu_s):.1f} s "
                f"({_median(runs, lambda one: one.start_wall_s):.1f} s)",
            ]
        )
    return rows


def error_rows(errors: Errors) -> list[list[str]]:
    """Encoders and scorings, a line each, and the figures of every part of the speech."""
    names = list(next(iter(errors.values())))
    rows = [["encoder, score", *(f"{part}: {label}" for part in names for label in SHOWN.values())]]
    for (encoder, scoring), by_part in errors.items():
        cells = [cell(name, by_part[part].figures[name]) for part in names for name in SHOWN]
        rows.append([f"{encoder}, {scoring}", *cells])
    return rows


def between_markers(document: str, new: str) -> str:
    """The document with ``new`` between its markers. Raises ``ConfigError`` without them."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ConfigError(
            "the document has no place for the tables", f"Put {BEGIN} and {END} on two lines."
        )
    return f"{before}{begin}\n{new}{end}{after}"


def _median(runs: Sequence[Cost], value: Callable[[Cost], float]) -> float:
    return float(np.median([value(one) for one in runs]))


def _commit() -> str:
    """The source that runs, and whether it was changed since."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],  # noqa: S607
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def _machine() -> str:
    """The processor's name, or the board's where the processor tells none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in told.items()}
    name = named.get("model name") or named.get("Model") or platform.machine()
    cores = len(os.sched_getaffinity(0))
    return f"{name} ({cores} cores, {platform.machine()}, Python {platform.python_version()})"
