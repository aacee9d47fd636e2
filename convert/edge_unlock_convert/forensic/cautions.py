"""What whoever reads a report has to know."""

from collections.abc import Iterator

from edge_unlock_convert.forensic.checklist import ENOUGH_SPEAKERS, Said
from edge_unlock_convert.forensic.comparison import Comparison
from edge_unlock_convert.forensic.condition import sessions_are_known

MEANING = (
    "It says how much more probable the similarity of these voices is under one proposition than "
    "under the other. It does not say how probable it is that they are the same person: that "
    "also depends on everything else that is known, which is for the court.",
    "It is about the population that was given. With another population (other language, sex, "
    "age, or relatives of the speaker) the same voices would have another likelihood ratio.",
    "It holds for conditions like those that were validated. What is not measured may still "
    "matter: time between recordings, emotion, illness, disguise, microphone, room, codec, "
    "language, several speakers in a recording.",
    "It cannot tell a living voice from a recording of it, an imitation or a synthetic voice.",
    "It was made for unlocking devices: a small network, here measured in the open. Other "
    "methods may tell more. No decision may rest on it alone, and nobody should present it without "
    "a qualified examiner who has listened to the recordings.",
)
SOURCES = (
    "E: ENFSI Guideline for Evaluative Reporting in Forensic Science (2015). M: ENFSI "
    "Methodological Guidelines for Best Practice in Forensic Semiautomatic and Automatic Speaker "
    "Recognition (Drygajlo et al., 2015). C: Consensus on validation of forensic voice comparison "
    "(Morrison et al., Science & Justice, 2021). Points are summarized in other words. Bounds: "
    "Vergeer et al. (Science & Justice, 2016). ECE: Ramos and Gonzalez-Rodriguez (Forensic Science "
    "International, 2013)."
)


def general(found: Comparison, said: Said) -> Iterator[str]:
    """What holds for all recordings of a case."""
    held = [one for one in found.compared if one.is_held]
    if held:
        yield (
            f"{len(held)} of {len(found.compared)} likelihood ratios would have been stronger than "
            "the validation supports, and were limited."
        )
    if not said.language:
        yield "Language and accent are unknown: nobody said them (--language)."
    if not said.population:
        yield "Nobody said whom the population represents (--population-note)."
    if not sessions_are_known(found.case.population):
        yield (
            "The population's sessions are not known. If each speaker was recorded on one "
            "occasion, evidence for the same speaker is overstated."
        )
    fewest = min(one.validated.speakers for one in found.compared)
    if fewest < ENOUGH_SPEAKERS:
        yield f"Only {fewest} speakers make same-speaker trials: bounds are narrow, intervals wide."
    if any(len(one.questioned) > 1 for one in found.compared):
        yield "All questioned recordings together: it is assumed that they are of one speaker."
