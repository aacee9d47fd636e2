"""The figures of groups: of people, of recordings, and across days."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_unlock_convert.corpus import UNSAID, Utterance
from edge_unlock_convert.evaluation.design import Design
from edge_unlock_convert.evaluation.figures import Figures, measure
from edge_unlock_convert.evaluation.listening import Voices
from edge_unlock_convert.evaluation.tally import Scored

FEWEST_SPEAKERS, FEWEST_TARGETS = 5, 50
"""A group of fewer is not called the worst: chance may have made it so."""
FEWEST_SHOWN = 20
"""Target trials: the rates of a group of fewer say nothing."""
AGES = {18: "under 18", 40: "18 to 39", 60: "40 to 59", 200: "60 and over"}
SECONDS = {1.0: "under 1 s", 2.0: "1 to 2 s", 4.0: "2 to 4 s", np.inf: "4 s and more"}
SNRS_DB = {10.0: "under 10 dB", 20.0: "10 to 20 dB", 30.0: "20 to 30 dB", np.inf: "30 dB and more"}
BANDS_HZ = {4500.0: "under 4.5 kHz", 6000.0: "4.5 to 6 kHz", np.inf: "6 kHz and more"}
VERDICTS = {0.5: "judges it", np.inf: "asks again"}
SESSION = "session"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the trials of a group: ``by`` what it was made, its ``name``.

    The rates named ``common`` are at the one threshold that all groups share.
    """

    by: str
    name: str
    figures: Figures


class Parts(NamedTuple):
    """Trials (T,) of each group, by name; what they are told apart by."""

    by: str
    groups: Mapping[str, NDArray[np.bool_]]


def groups(design: Design, scored: Scored, voices: Voices, draws: int) -> list[Group]:
    """The groups of everything that tells two or more apart.

    ``scored`` are the trials of ``design``, the session that is shared included. Groups of
    very few target trials, or no non-target ones, are left out.
    """
    found = []
    for by, parts in (*_parts(design, voices), *_sessions(design)):
        rows = {name: part for name, part in parts.items() if part.any()}
        if len(rows) < 2:
            continue
        for name, part in rows.items():
            targets = int((design.is_target & part).sum())
            if FEWEST_SHOWN <= targets < part.sum():
                figures = measure(scored.only(part), draws, brief=True)
                found.append(Group(by=by, name=name, figures=figures))
    return found


def worst(found: Sequence[Group]) -> Group | None:
    """The group of the highest EER, of those that are large enough to tell."""
    enough = [
        one
        for one in found
        if one.figures.speakers >= FEWEST_SPEAKERS and one.figures.targets >= FEWEST_TARGETS
    ]
    return max(enough, key=lambda one: one.figures.figures["eer"].value, default=None)


def _parts(design: Design, voices: Voices) -> Iterator[Parts]:
    apart = design.apart
    owners = design.owners[design.template]
    for by, label in PEOPLE.items():
        labels = np.array([label(one) for one in design.recordings])
        same = (labels[owners] == labels[design.test]) & apart
        yield Parts(
            by,
            {
                name: same & (labels[design.test] == name)
                for name in sorted(set(labels.tolist()) - {UNSAID})
            },
        )
    heard = (
        ("seconds of speech", voices.seconds, SECONDS),
        ("signal to noise", voices.snr_db, SNRS_DB),
        ("bandwidth", voices.bandwidth_hz, BANDS_HZ),
        ("the device", voices.refused, VERDICTS),
    )
    for by, values, names in heard:
        edges, every = np.array(list(names)), list(names.values())
        place = np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="right"))
        yield Parts(
            by,
            {name: (place[design.test] == number) & apart for number, name in enumerate(every)},
        )


def _sessions(design: Design) -> Iterator[Parts]:
    if design.has_sessions:
        same = design.same_session
        yield Parts(SESSION, {"the same": same | ~design.is_target, "another day or device": ~same})


def _age(one: Utterance) -> str:
    if not one.age.isdigit():
        return UNSAID
    return next((name for limit, name in AGES.items() if int(one.age) < limit), UNSAID)


PEOPLE: dict[str, Callable[[Utterance], str]] = {
    "sex": lambda one: {"m": "male", "f": "female"}.get(one.sex, UNSAID),
    "age": _age,
    "language": lambda one: one.language,
    "corpus": lambda one: one.corpus,
}
"""What is known of who speaks. Both voices of a trial are of the group."""
