"""What guidelines ask of a forensic comparison of voices, and whether a report has it.

Summarized, not quoted, from ENFSI's "Guideline for Evaluative Reporting in Forensic Science"
(2015, E), its "Methodological Guidelines for Best Practice in Forensic Semiautomatic and
Automatic Speaker Recognition" (A. Drygajlo et al., 2015, M), and G. S. Morrison et al.,
"Consensus on validation of forensic voice comparison" (Science & Justice, 2021, C).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from edge_unlock_convert.forensic.comparison import Comparison
from edge_unlock_convert.forensic.condition import sessions_are_known

ENOUGH_SPEAKERS = 50
"""Below, intervals are wide and bounds narrow."""
MET, PARTLY, NOT, EXAMINER = "met", "in part", "not met", "left to the examiner"


class Point(NamedTuple):
    """What is asked, by which text, whether it is met, and why or how."""

    asked: str
    source: str
    status: str
    reason: str


class Said(NamedTuple):
    """What the examiner said of the case: empty where nothing."""

    population: str = ""
    language: str = ""


def checklist(found: Comparison, said: Said) -> Iterator[Point]:
    """All points, in the order of an examination."""
    yield Point(
        "Two propositions, exclusive of each other, are stated beforehand",
        "E",
        MET,
        "See Evidence.",
    )
    yield Point(
        "The result is a likelihood ratio, not a probability of a proposition, nor a decision",
        "E, M, C",
        MET,
        "No prior odds are assumed.",
    )
    yield Point(
        "The words for a likelihood ratio come from a scale that is shown",
        "E",
        MET,
        "The bands of the guideline; the figure stands beside the words.",
    )
    yield _population(said)
    yield _conditions(found)
    yield _sessions(found)
    yield _speakers(found)
    yield Point(
        "Calibration and validation use no speaker twice",
        "C",
        MET,
        "Leave-speakers-out: neither speaker of a trial is in the calibration that judges it.",
    )
    yield Point(
        "The whole system is validated as it is used, not parts of it",
        "C",
        MET,
        "The same code, package and calibration on recordings cut to the same lengths.",
    )
    yield Point(
        "Cllr and Tippett plots are shown",
        "M, C",
        MET,
        "Also min Cllr, EER and ECE, with 95% intervals over speakers.",
    )
    yield _useful(found)
    yield Point(
        "The strength that is reported does not go beyond what was validated",
        "E, C",
        MET,
        "Limited by ELUB (Vergeer et al., 2016), speakers counted, not trials.",
    )
    yield Point(
        "The uncertainty of the likelihood ratio is shown",
        "C",
        PARTLY,
        "The interval is of the sampling of speakers only, not of the recordings of the case.",
    )
    yield _quality(found)
    yield _language(said)
    yield Point(
        "Somebody has listened: one speaker in each recording, no disguise, illness, editing",
        "M",
        EXAMINER,
        "This tool does not listen, and does not separate speakers.",
    )
    yield Point(
        "The examiner does not know what could bias him", "E, C", EXAMINER, "See your procedures."
    )
    yield Point(
        "Whether the validation suffices for the case was decided before the case was compared",
        "C",
        NOT,
        "One command does both. Decide on a run with other recordings of the same conditions.",
    )
    yield Point(
        "The system was validated in the laboratory that uses it, and its staff was tested",
        "M, C",
        EXAMINER,
        "A report cannot say so of those who made it.",
    )
    yield Point(
        "It can be repeated: data, versions and settings are named",
        "E, M",
        MET,
        "SHA-256 of every input, the command, versions; the same inputs give the same bytes.",
    )
    yield Point("A second examiner has reviewed it", "M", EXAMINER, "Not by this tool.")


def _population(said: Said) -> Point:
    asked = "The population represents who else might have spoken, and why is said"
    if not said.population:
        return Point(asked, "E, M, C", NOT, "Nobody said whom it represents (--population-note).")
    return Point(
        asked, "E, M, C", EXAMINER, f"It is said to be: {said.population}. No program can judge it."
    )


def _conditions(found: Comparison) -> Point:
    asked = "The population's recordings are in the conditions of the case, each side in its own"
    if found.warnings:
        return Point(asked, "M, C", PARTLY, "Lengths are; what is not stands under Warnings.")
    return Point(
        asked,
        "M, C",
        PARTLY,
        "Lengths, noise, bandwidth and coding are; speaking style, microphone and room are not "
        "measured, and both sides are of the same recordings.",
    )


def _sessions(found: Comparison) -> Point:
    asked = "Same-speaker trials are of recordings made on different occasions"
    if sessions_are_known(found.case.population):
        return Point(asked, "M, C", MET, "The population's sessions are kept apart.")
    return Point(
        asked,
        "M, C",
        NOT,
        "The population's sessions are not named (--sessions): if they were one each, same-speaker "
        "evidence is overstated.",
    )


def _speakers(found: Comparison) -> Point:
    fewest = min(one.validated.speakers for one in found.compared)
    return Point(
        "There are enough speakers, and how many is said",
        "M, C",
        MET if fewest >= ENOUGH_SPEAKERS else PARTLY,
        f"{fewest} speakers make same-speaker trials"
        + ("." if fewest >= ENOUGH_SPEAKERS else f"; below {ENOUGH_SPEAKERS} intervals are wide."),
    )


def _useful(found: Comparison) -> Point:
    worst = max(one.validated.validation.figures.figures["cllr"].value for one in found.compared)
    return Point(
        "Cllr is below 1: the system helps rather than misleads",
        "C",
        MET if worst < 1 else NOT,
        f"The greatest is {worst:.2f} bits. How much lower it must be is for the court to say.",
    )


def _quality(found: Comparison) -> Point:
    heard = np.concatenate((found.questioned.snr_db, found.known.snr_db))
    return Point(
        "Quality and quantity of speech were checked before comparing",
        "M",
        MET if np.isfinite(heard).all() else PARTLY,
        "Seconds of speech, signal-to-noise ratio and bandwidth, against the population's."
        + ("" if np.isfinite(heard).all() else " In some recordings no speech was found."),
    )


def _language(said: Said) -> Point:
    asked = "Language and accent of both sides are known, and are the population's"
    if not said.language:
        return Point(asked, "M, C", NOT, "Nobody said them (--language), and no program measured.")
    return Point(asked, "M, C", EXAMINER, f"Said to be {said.language}; not measured.")
