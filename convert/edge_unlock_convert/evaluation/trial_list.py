"""Lists of trials that others publish: VoxCeleb's and Kaldi's.

VoxCeleb: ``1 enroll.wav test.wav`` or ``0 ...``. Kaldi: ``enrolled test target`` or
``... nontarget``, with ``wav.scp`` and ``utt2spk`` beside the list; what is enrolled is an
utterance, or a speaker by all utterances of his that no trial tests. Everything that is wrong is
found before any work is done.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from edge_unlock_convert.corpus import UNSAID, Utterance, fault_of
from edge_unlock_convert.errors import SpeechError
from edge_unlock_convert.evaluation.design import Design, Integers
from edge_unlock_convert.evaluation.faults import Faults
from edge_unlock_convert.evaluation.kaldi import Directory

VOXCELEB = {"1": True, "0": False}
KALDI = {"target": True, "nontarget": False}


class Line(NamedTuple):
    """A trial as it is written, and on which line."""

    number: int
    enrolled: str
    test: str
    is_target: bool


class Pair(NamedTuple):
    """A trial among recordings by number."""

    line: Line
    enrolled: tuple[int, ...]
    test: int


def read(path: Path, root: Path | None, known: Mapping[Path, Utterance]) -> Design:
    """The trials of a list, whose recordings lie in ``root`` (else beside the list).

    ``known`` tells more of recordings. Raises ``SpeechError`` with every fault by its line
    number.
    """
    faults = Faults(path)
    lines, is_kaldi = _lines(path, faults)
    base = root or path.parent
    if is_kaldi:
        directory = Directory(path.parent, base, {line.test for line in lines})
        recordings = _Recordings(directory.recordings, directory.speaker, known)
    else:
        is_told = _tell_speakers(lines)
        recordings = _Recordings(
            lambda name: [base / name], lambda one: _folder(one, base) if is_told else None, known
        )
    pairs = []
    for line in lines:
        try:
            enrolled = recordings.numbers(line.enrolled)
            tests = recordings.numbers(line.test)
        except LookupError as error:
            faults.add(line.number, str(error.args[0]))
            continue
        if len(tests) > 1:
            faults.add(line.number, f"{line.test} is not one utterance")
        if tests[0] in enrolled:
            faults.add(line.number, f"{line.test} is compared with itself")
        pairs.append(Pair(line, enrolled, tests[0]))
    if pairs:
        speakers = _speakers(recordings.utterances, pairs)
        owners = speakers[[pair.enrolled[0] for pair in pairs]]
        same = owners == speakers[[pair.test for pair in pairs]]
        for row in np.flatnonzero(same != [pair.line.is_target for pair in pairs]):
            said = "one speaker" if same[row] else "different speakers"
            faults.add(pairs[row].line.number, f"the label is wrong: all else tells of {said}")
    faults.check()
    if len({line.is_target for line in lines}) < 2:
        kinds = ["target" if line.is_target else "non-target" for line in lines[-1:]]
        found = [
            f"nothing but {kind} trials to the last, line {lines[-1].number}" for kind in kinds
        ]
        raise SpeechError(
            f"{path} holds {''.join(found) or 'no trials'}",
            "Error rates need trials of both kinds.",
        )
    return _design(recordings.utterances, speakers, pairs)


class _Recordings:
    """Recordings by the names that a list has for them, checked once each."""

    def __init__(
        self,
        find: Callable[[str], Sequence[Path]],
        speaker: Callable[[Path], str | None],
        known: Mapping[Path, Utterance],
    ) -> None:
        self._find = find
        self._speaker = speaker
        self._known = known
        self._named: dict[str, tuple[int, ...]] = {}
        self._numbers: dict[Path, int] = {}
        self._faults: dict[Path, str | None] = {}
        self.utterances: list[Utterance] = []

    def numbers(self, name: str) -> tuple[int, ...]:
        """The recordings that a name stands for. Raises ``LookupError`` for a bad one."""
        found = self._named.get(name)
        if found is None:
            found = self._named[name] = tuple(map(self._number, self._find(name)))
        return found

    def _number(self, path: Path) -> int:
        number = self._numbers.get(path)
        if number is not None:
            return number
        if path not in self._faults:
            self._faults[path] = fault_of(path)
        fault = self._faults[path]
        if fault is not None:
            raise LookupError(fault)
        one = self._known.get(path) or Utterance(path, "", UNSAID, self._speaker(path) or UNSAID)
        self.utterances.append(one)
        return self._numbers.setdefault(path, len(self._numbers))


def _lines(path: Path, faults: Faults) -> tuple[list[Line], bool]:
    """The lines that can be understood, and whether they are in Kaldi's form."""
    try:
        rows = [
            (number, row.split())
            for number, row in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
            if row.strip()
        ]
    except (OSError, UnicodeDecodeError) as error:
        raise SpeechError(f"cannot read {path}: {error}", "Give a list of trials.") from error
    is_kaldi = any(row[-1] in KALDI for _, row in rows)
    labels = KALDI if is_kaldi else VOXCELEB
    seen: dict[tuple[str, str], Line] = {}
    for number, row in rows:
        if len(row) != 3:
            faults.add(number, f"has {len(row)} fields instead of 3")
            continue
        enrolled, test, label = row if is_kaldi else (*row[1:], row[0])
        if label not in labels:
            faults.add(number, f"the label {label!r} is not {' or '.join(labels)}")
            continue
        line = Line(number, enrolled, test, labels[label])
        before = seen.setdefault((enrolled, test), line)
        if before is not line:
            same = "the same as" if before.is_target == line.is_target else "the contrary of"
            faults.add(number, f"says {same} line {before.number}")
    return list(seen.values()), is_kaldi


def _folder(path: Path, base: Path) -> str | None:
    return path.relative_to(base).parts[0] if path.is_relative_to(base) else None


def _tell_speakers(lines: Sequence[Line]) -> bool:
    """Whether the first folder of a recording is its speaker, as in VoxCeleb."""
    return all(
        line.is_target == (line.enrolled.split("/")[0] == line.test.split("/")[0]) for line in lines
    )


def _speakers(utterances: Sequence[Utterance], pairs: Sequence[Pair]) -> Integers:
    """Who speaks in each recording, by number (R,): as is said, or as target trials link them."""
    names = [one.speaker for one in utterances]
    if UNSAID not in names:
        return np.asarray(np.unique(names, return_inverse=True)[1])
    links = [(enrolled[0], one) for _, enrolled, _ in pairs for one in enrolled[1:]]
    links += [(enrolled[0], test) for line, enrolled, test in pairs if line.is_target]
    one, other = np.array(links or [(0, 0)]).T
    size = len(utterances)
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _design(utterances: Sequence[Utterance], speakers: Integers, pairs: Sequence[Pair]) -> Design:
    templates: dict[tuple[int, ...], int] = {}
    template = [templates.setdefault(pair.enrolled, len(templates)) for pair in pairs]
    test = np.array([pair.test for pair in pairs], np.int64)
    owner = np.array([pair.enrolled[0] for pair in pairs], np.int64)
    sessions = np.array([one.session for one in utterances])
    is_target = np.array([pair.line.is_target for pair in pairs])
    same = (sessions[owner] == sessions[test]) & (sessions[test] != UNSAID) & is_target
    return Design(
        utterances, speakers, list(templates), np.array(template, np.int64), test, is_target, same
    )
