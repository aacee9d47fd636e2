"""The report of a comparison, in words and tables."""

from collections.abc import Iterator
from hashlib import sha256

import numpy as np

from edge_unlock_convert.evaluation.listening import Voices
from edge_unlock_convert.evaluation.text import NAMES, cell
from edge_unlock_convert.forensic import cautions, pictures
from edge_unlock_convert.forensic.case import Recording
from edge_unlock_convert.forensic.checklist import checklist
from edge_unlock_convert.forensic.comparison import Compared, Comparison, Validated
from edge_unlock_convert.forensic.document import (
    Block,
    Document,
    Heading,
    Items,
    Paragraph,
    Pictures,
    Table,
)
from edge_unlock_convert.forensic.limits import MEASURES, span
from edge_unlock_convert.forensic.scale import BANDS, DIFFERENT, SAME, ratio, support
from edge_unlock_convert.forensic.subject import INPUTS, Subject

TITLE = "Forensic comparison of voices"
FIGURES = ("eer", "cllr", "min_cllr")


def account(found: Comparison, subject: Subject) -> Document:
    """All of the report."""
    validated = {one.validated.condition: one.validated for one in found.compared}
    blocks = [
        *_evidence(found),
        *_warnings(found, subject),
        *_meaning(),
        *_recordings(found),
        *_population(found, subject),
        *(block for one in validated.values() for block in _validation(found, one)),
        *_checklist(found, subject),
        *_provenance(found, subject),
    ]
    return Document(TITLE, blocks)


def name(found: Comparison, one: Compared) -> str:
    """What was compared: a file, or all of them."""
    if len(one.questioned) > 1:
        return f"all {len(one.questioned)} together"
    return str(found.case.questioned[one.questioned[0]].path)


def log10(llr: float) -> str:
    """A natural-log likelihood ratio, in the base in which it is said."""
    return f"{llr / np.log(10):+.2f}"


def sentence(found: Comparison, one: Compared) -> str:
    """The evidence as a court may be told it."""
    llr = one.reported
    favoured, other = (SAME, DIFFERENT) if llr >= 0 else (DIFFERENT, SAME)
    return (
        f"{name(found, one)}: the similarity that was found is {ratio(abs(llr))} times as probable "
        f"if {favoured} as if {other}. This is {support(llr)}."
    )


def _evidence(found: Comparison) -> Iterator[Block]:
    yield Heading("Evidence")
    yield Paragraph(f"First proposition: {SAME}. Second proposition: {DIFFERENT}.")
    yield Paragraph(sentence(found, found.compared[-1]), weighty=True)
    head = ["questioned", "LR", "log10 LR", "95% (log10)", "bounds (log10)", "before them"]
    rows = [[*head, "in words"]]
    for one in found.compared:
        low, high = map(log10, one.interval)
        bounds = one.validated.validation.bounds
        rows.append(
            [
                name(found, one),
                ratio(one.reported),
                log10(one.reported),
                f"{low} to {high}",
                f"{log10(bounds.low)} to {log10(bounds.high)}",
                log10(one.llr) if one.is_held else "the same",
                support(one.reported),
            ]
        )
    yield Table(rows, (30, 12, 13, 20, 20, 14, 30))
    yield Paragraph(
        "LR is the likelihood ratio that may be reported: not beyond the bounds that the "
        "validation supports. The interval, before the bounds, is that of other speakers in the "
        "population. Words are those of ENFSI (2015): "
        + ", ".join(f"{band.words} from {band.least:,.0f}" for band in reversed(BANDS))
        + "; below 2, no support. Their inverses are for the second proposition."
    )
    if found.missing:
        yield Paragraph(f"All recordings were not compared together: {found.missing}.")


def _warnings(found: Comparison, subject: Subject) -> Iterator[Block]:
    yield Heading("Warnings")
    yield Items([*found.warnings, *cautions.general(found, subject.said)])


def _meaning() -> Iterator[Block]:
    yield Heading("What this can and cannot support")
    yield Items(cautions.MEANING)


def _recordings(found: Comparison) -> Iterator[Block]:
    yield Heading("Recordings of the case")
    rows = [["", "file", "coding", "length", "speech", "SNR", "bandwidth"]]
    for side, recordings, voices in (
        ("questioned", found.case.questioned, found.questioned),
        ("known", found.case.known, found.known),
    ):
        rows += [[side, *_heard(one, row, voices)] for row, one in enumerate(recordings)]
    yield Table(rows, (16, 34, 34, 11, 11, 11, 14))


def _heard(one: Recording, row: int, voices: Voices) -> list[str]:
    values = [(float(getattr(voices, key)[row]), measure) for key, measure in MEASURES.items()]
    shown = [
        f"{value:.{measure.digits}f} {measure.unit}" if np.isfinite(value) else "-"
        for value, measure in values
    ]
    return [str(one.path), one.coding, f"{one.seconds:.1f} s", *shown]


def _population(found: Comparison, subject: Subject) -> Iterator[Block]:
    yield Heading("Relevant population and calibration")
    people = found.case.population
    speakers = len({one.speaker for one in people})
    codings = sorted({one.coding for one in found.case.others})
    said = subject.said.population or "nobody said (--population-note)"
    yield Paragraph(
        f"{len(people)} recordings of {speakers} speakers. Whom they represent: {said}. "
        f"Language: {subject.said.language or 'unknown'}. Coding: {'; '.join(codings)}."
    )
    yield Paragraph(
        "Trials are made as the case is: a speaker is enrolled with as many recordings as are "
        "known, cut to their middle length, five times with other ones drawn; every other "
        "recording of everybody is compared, cut to the questioned length. A score is the "
        "package's own: the cosine of embeddings, set against its cohort. It becomes a "
        "likelihood ratio by logistic regression (Brümmer and du Preez, 2006) in which both kinds "
        "of trials weigh the same. Several recordings together have the mean of their scores, and "
        "a calibration of their own."
    )


def _validation(found: Comparison, one: Validated) -> Iterator[Block]:
    condition, validation = one.condition, one.validation
    yield Heading(
        f"Validation: {condition.known} known of {condition.known_s:g} s, "
        f"{condition.together} questioned of {condition.questioned_s:g} s"
    )
    figures = validation.figures
    yield Paragraph(
        f"By speakers whom the calibration had not seen: {one.recordings} recordings of "
        f"{figures.speakers} speakers ({one.speakers} of them with enough for a trial of the same "
        f"speaker), {figures.targets:,} same-speaker and {figures.nontargets:,} "
        "different-speaker trials. Intervals are of drawing speakers anew."
    )
    yield Table(
        [
            ["figure (95%)", "value"],
            *([NAMES[key], cell(key, figures.figures[key])] for key in FIGURES),
            [
                "bounds of log10 LR (ELUB)",
                " to ".join(log10(end) for end in validation.bounds),
            ],
            [
                "calibration on all: log10 LR",
                f"{validation.line.slope / np.log(10):.4f} times the score, "
                f"{validation.line.offset / np.log(10):+.4f}",
            ],
            *(
                [f"validated {measure.name}, questioned side", span(allowed, measure)]
                for key, measure in MEASURES.items()
                if (allowed := one.tested[key]) is not None
            ),
        ],
        (50, 50),
    )
    case = [other.llr for other in found.compared if other.validated.condition == condition]
    yield Pictures(
        [
            (
                pictures.tippett(validation.scored, validation.bounds, case),
                "Tippett plot: how often evidence is how strong, before the bounds (dotted). "
                "Triangles: the case.",
            ),
            (
                pictures.entropy(validation.scored),
                "Empirical cross-entropy: what is not known after the evidence, by prior odds. "
                "Where the first curve is above the third, the evidence would mislead.",
            ),
        ]
    )


def _checklist(found: Comparison, subject: Subject) -> Iterator[Block]:
    yield Heading("Examiner's checklist")
    points = map(list, checklist(found, subject.said))
    yield Table([["asked", "by", "status", "how, or why not"], *points], (38, 9, 15, 48))
    yield Paragraph(cautions.SOURCES)


def _provenance(found: Comparison, subject: Subject) -> Iterator[Block]:
    yield Heading("How to make this report again")
    manifest = subject.package.manifest
    digests = [[str(one.path), one.sha256] for one in (*found.case.questioned, *found.case.known)]
    rows = [
        ["", ""],
        ["command", subject.command],
        ["model", f"{manifest.name}, version {manifest.version}"],
        ["SHA-256 of its manifest", subject.package.manifest_sha256.hex()],
        ["SHA-256 of its network", sha256(subject.package.model).hexdigest()],
        *digests,
        [
            f"SHA-256 of {INPUTS}, which names every recording of the population",
            sha256(subject.inputs(found.case)).hexdigest(),
        ],
        ["versions", ", ".join(" ".join(one) for one in subject.versions().items())],
        ["date", subject.made or "not given (SOURCE_DATE_EPOCH)"],
        ["signed with the public key of SHA-256", subject.key or "not signed (--key)"],
    ]
    yield Table(rows, (38, 72))
