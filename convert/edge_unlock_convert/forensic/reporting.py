"""The files of a report."""

from datetime import datetime

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_unlock_convert.evaluation.figures import Figures
from edge_unlock_convert.evaluation.report import FIGURES, PAGE
from edge_unlock_convert.forensic import seal
from edge_unlock_convert.forensic.account import account, name, sentence
from edge_unlock_convert.forensic.comparison import Comparison
from edge_unlock_convert.forensic.page import page
from edge_unlock_convert.forensic.paper import paper
from edge_unlock_convert.forensic.scale import support
from edge_unlock_convert.forensic.subject import INPUTS, Subject

PAPER = "report.pdf"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison for programs. Likelihood ratios are natural logarithms: ``llr`` is what may be
    reported, ``unbounded_llr`` what the calibration gave.
    """

    questioned: str
    llr: float
    unbounded_llr: float
    interval: tuple[float, float]
    bounds: tuple[float, float]
    words: str
    score: float
    validation: Figures


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All comparisons, and what they were made with."""

    command: str
    manifest_sha256: str
    versions: dict[str, str]
    comparisons: list[Line]
    warnings: list[str]


def files(
    found: Comparison, subject: Subject, made: datetime | None, key: Ed25519PrivateKey | None
) -> dict[str, bytes]:
    """What is written, by file name. The same comparison makes the same bytes."""
    document = account(found, subject)
    written = {
        PAGE: page(document),
        PAPER: paper(document, made),
        FIGURES: _for_programs(found, subject),
        INPUTS: subject.inputs(found.case),
    }
    written[seal.SUMS] = seal.sums(written)
    if key is not None:
        written[seal.SIGNATURE] = seal.sign(written[seal.SUMS], key)
    return written


def summary(found: Comparison) -> str:
    """What a terminal shows: a sentence for each comparison, and the warnings."""
    said = [sentence(found, one) for one in found.compared]
    return "\n".join([*said, *(f"warning: {one}" for one in found.warnings)]) + "\n"


def _for_programs(found: Comparison, subject: Subject) -> bytes:
    comparisons = [
        Line(
            questioned=name(found, one),
            llr=one.reported,
            unbounded_llr=one.llr,
            interval=one.interval,
            bounds=one.validated.validation.bounds,
            words=support(one.reported),
            score=one.score,
            validation=one.validated.validation.figures,
        )
        for one in found.compared
    ]
    made = Summary(
        command=subject.command,
        manifest_sha256=subject.package.manifest_sha256.hex(),
        versions=subject.versions(),
        comparisons=comparisons,
        warnings=found.warnings,
    )
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"
