"""How a decision is told, to people and to programs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_unlock.scoring.recognizer import Candidate, Decision
    from edge_unlock.vault.attempts import Failures

RAREST_SAID = 1e-5
"""Rarer false accepts than this are not known: too few strangers were ever heard."""

EXIT_CODES = {"accepted": 0, "rejected": 3, "retry": 4, "locked out": 5}
"""What a decision is as an exit status."""

SCORES = ("score", "far", "llr", "threshold", "magnitude", "none_llr")
"""The fields of a decision that are told only where they are asked for (``band`` says why)."""


RANKING = ("candidates", "none_llr")
"""Those that are told only where candidates are."""


def fields(decision: Decision, show_scores: bool, *, ranked: bool = False) -> dict[str, Any]:
    """What ``--json`` prints; ``ranked``: with the candidates."""
    from msgspec.structs import asdict

    def shown(one: Decision | Candidate) -> dict[str, Any]:
        told = asdict(one)
        return {name: told[name] for name in told if show_scores or name not in SCORES}

    told = shown(decision)
    told["candidates"] = [shown(one) for one in decision.candidates]
    return {name: told[name] for name in told if ranked or name not in RANKING}


def ranking(decision: Decision, show_scores: bool) -> list[str]:
    """The candidates, a line each, the likeliest first; then how likely it is none of them."""
    lines = []
    for number, one in enumerate(decision.candidates, start=1):
        figures = _scores(one) if show_scores else ""
        lines.append(f"{number:4}  {one.user}  {one.match}{figures}")
    if lines and show_scores and decision.none_llr is not None:
        lines.append(f"   -  none of them, log-likelihood ratio {decision.none_llr:+.1f}")
    elif lines and decision.user is None:
        lines.append("   -  none of them")
    return lines


def words_of(decision: Decision, show_scores: bool) -> str:
    """What was decided, and on what grounds."""
    words = decision.decision if decision.user is None else f"{decision.decision}: {decision.user}"
    if decision.reason:
        words += f" ({decision.reason})"
    if decision.failed_since is not None:
        words += f" ({_failures(decision.failed_since)})"
    if decision.match is not None:
        words += f"  {decision.match}"
    if show_scores:
        words += _scores(decision)
    return f"{words}, {decision.seconds:.1f} s" if decision.seconds else words


def _scores(decision: Decision | Candidate) -> str:
    """The figures of a decision, where it has them."""
    words = ""
    if decision.score is not None:
        words += f", score {decision.score:.3f}, needed {decision.threshold:.3f}"
    if decision.llr is not None:
        words += f", log-likelihood ratio {decision.llr:+.1f}"
    if decision.far is not None:
        words += f", strangers as alike as this: {_share(decision.far)}"
    return words


def _failures(failures: Failures) -> str:
    """What the owner is to know when he is let in: 3 failed attempts since Tuesday 14:05."""
    words = f"{failures.attempts} failed attempt{'s' if failures.attempts > 1 else ''}"
    if failures.since is None:
        return words
    since = datetime.fromisoformat(failures.since).astimezone()
    days = (datetime.now(since.tzinfo) - since).days
    return f"{words} since {since:{'%A %H:%M' if days < 6 else '%d %B %Y %H:%M'}}"


def _share(rate: float) -> str:
    """A rate as people say it: 1 in 4,000."""
    if rate < RAREST_SAID:
        return f"fewer than 1 in {round(1 / RAREST_SAID):,}"
    times = 1 / rate
    digits = max(0, len(str(int(times))) - 2)  # two that count
    return f"1 in {round(times, -digits):,.0f}"


def hints(decision: Decision) -> list[str]:
    """What to do better next time, where that is known."""
    from edge_unlock.segmentation.quality import Fault

    if decision.decision == "retry" and decision.reason:
        return [Fault(decision.reason).hint]
    if decision.weakness is not None:
        return [f"What was heard is {decision.weakness}. {decision.weakness.hint}"]
    return []
