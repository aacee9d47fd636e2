"""What is compared: the recordings of a case, and those of its relevant population."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import soundfile

from edge_unlock_convert.corpus import SUFFIXES, Utterance, fault_of
from edge_unlock_convert.errors import SpeechError
from edge_unlock_convert.evaluation import material


class Recording(NamedTuple):
    """A file: its SHA-256 in hex, seconds of sound, and how it is coded."""

    path: Path
    sha256: str
    seconds: float
    coding: str

    @classmethod
    def read(cls, path: Path) -> "Recording":
        """Of a file that ``fault_of`` finds no fault with. Raises ``SpeechError``."""
        try:
            digest = sha256(path.read_bytes()).hexdigest()
            info = soundfile.info(path)
        except (OSError, soundfile.SoundFileError) as error:
            raise SpeechError(f"cannot read {path}: {error}", "Check its permissions.") from error
        channels = "mono" if info.channels == 1 else f"{info.channels} channels"
        coding = f"{info.format} {info.subtype}, {info.samplerate} Hz, {channels}"
        return cls(path, digest, info.frames / info.samplerate, coding)


class Case(NamedTuple):
    """The recordings of a case; ``population`` tells who speaks in each of ``others``."""

    questioned: list[Recording]
    known: list[Recording]
    others: list[Recording]
    population: list[Utterance]

    @property
    def every(self) -> list[Recording]:
        """All recordings."""
        return [*self.questioned, *self.known, *self.others]


class Population(NamedTuple):
    """Where the relevant population lies: a folder a speaker, or a manifest and a split of it.

    ``sessions`` is as ``evaluate`` has it.
    """

    source: Path
    split: str | None = None
    sessions: str | None = None


def read(questioned: Sequence[Path], known: Path, population: Population) -> Case:
    """Everything that is compared, once it was found to be there and to be audio.

    Raises ``SpeechError`` for what is not, and where a recording is there twice: a voice that is
    compared with itself shows nothing.
    """
    owned = sorted(path for path in known.iterdir() if path.suffix.lower() in SUFFIXES)
    if not owned:
        raise SpeechError(
            f"{known} holds no recording of the known speaker",
            f"It may hold {', '.join(SUFFIXES)}.",
        )
    faults = [fault for path in (*questioned, *owned) if (fault := fault_of(path)) is not None]
    if faults:
        raise SpeechError("; ".join(faults), "Nothing was computed. Repair them, or take them out.")
    people = material.read(population.source, population.split, population.sessions)
    case = Case(
        [Recording.read(path) for path in questioned],
        [Recording.read(path) for path in owned],
        [Recording.read(one.path) for one in people],
        people,
    )
    twice = next(_twice(case.every), None)
    if twice is not None:
        raise SpeechError(
            f"{twice[0].path} and {twice[1].path} are the same recording",
            "Each may be there once, and none of the case in the population.",
        )
    return case


def _twice(recordings: Sequence[Recording]) -> Iterator[tuple[Recording, Recording]]:
    seen: dict[str, Recording] = {}
    for one in recordings:
        if one.sha256 in seen:
            yield seen[one.sha256], one
        seen[one.sha256] = one
