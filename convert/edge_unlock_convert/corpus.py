"""Speech on disk: what there is, who speaks, and the samples.

Speech is described either by a manifest (a TSV file with the columns ``path``, ``split``,
``corpus``, ``speaker``, ``sex``, ``age``, ``seconds``, and if it likes ``language`` and
``session``; ``-`` where unknown, paths relative to the manifest, speaker ``unknown`` for
unlabelled voices) or by folders ``speaker/*.wav``.
"""

import csv
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from edge_unlock.audio.resample import MAX_RATE_HZ, MIN_RATE_HZ
from edge_unlock.errors import AudioError, ConfigError

SUFFIXES = (".wav", ".flac", ".opus", ".ogg")
COLUMNS = ("path", "split", "corpus", "speaker")
UNKNOWN = "unknown"
UNSAID = "-"
"""In a column of a manifest: nobody knows."""


class Utterance(NamedTuple):
    """One recording. ``speaker`` is unique over all corpora: ``corpus/speaker``.

    ``session`` is when and with what it was recorded, by a name that is the speaker's own.
    ``is_labelled``: somebody said who speaks.
    """

    path: Path
    split: str
    corpus: str
    speaker: str
    sex: str = UNSAID
    age: str = UNSAID
    language: str = UNSAID
    session: str = UNSAID
    is_labelled: bool = True

    def samples(self, sample_rate_hz: int, longest_s: float | None = None) -> NDArray[np.float32]:
        """The recording as float32 (n,), mono, in [-1, 1]; its first ``longest_s`` seconds.

        Raises ``AudioError`` when it cannot be read, or its rate is none of speech.
        """
        if not self.path.is_file():  # reading a pipe would wait for ever
            raise AudioError(f"{self.path} is missing, or no file", "Remove it or its line.")
        return decode(self.path, str(self.path), sample_rate_hz, longest_s)


def decode(
    source: Path | BinaryIO, name: str, sample_rate_hz: int, longest_s: float | None = None
) -> NDArray[np.float32]:
    """Audio as float32 (n,), mono, in [-1, 1]; its first ``longest_s`` seconds.

    Raises ``AudioError`` when it cannot be read, or its rate is none of speech.
    """
    # as bytes, because soundfile cannot say a name that is no UTF-8
    opened = os.fsencode(source) if isinstance(source, Path) else source
    try:
        with soundfile.SoundFile(opened) as file:
            rate = file.samplerate
            if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
                raise AudioError(
                    f"{name} has a sample rate of {rate} Hz",
                    f"Give audio of {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz.",
                )
            frames = -1 if longest_s is None else int(longest_s * rate)
            samples = file.read(frames, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        reason = getattr(error, "error_string", error)  # without the name, which is bytes here
        raise AudioError(f"cannot read {name}: {reason}", "Remove it or repair it.") from error
    mono: NDArray[np.float32] = samples.mean(axis=1)
    if rate != sample_rate_hz:
        mono = soxr.resample(mono, rate, sample_rate_hz)
    return mono


def fault_of(path: Path) -> str | None:
    """What is wrong with a recording, as far as its header tells; None if nothing is."""
    if not path.is_file():
        return f"there is no file {path}"
    try:
        found = soundfile.info(os.fsencode(path))
    except (OSError, soundfile.SoundFileError):
        return f"{path} is not audio"
    return None if found.frames else f"{path} holds no sound"


def read_corpus(source: Path, split: str | None = None) -> list[Utterance]:
    """The utterances of a manifest file or of a directory of speaker folders, in order.

    ``split`` keeps those of one split; folders are all of the split ``train``. Each unlabelled
    recording counts as a speaker of its own. Raises ``ConfigError`` when nothing is found.
    """
    found = _folders(source) if source.is_dir() else _manifest(source)
    utterances = [one for one in found if split is None or one.split == split]
    if not utterances:
        raise ConfigError(
            f"{source} names no speech" + (f" of the split {split}" if split else ""),
            "Give a manifest.tsv, or a directory that holds one folder a speaker, with recordings "
            f"in {', '.join(SUFFIXES)}.",
        )
    return utterances


def _folders(root: Path) -> Iterator[Utterance]:
    for path in sorted(root.glob("*/*")):
        if path.suffix.lower() in SUFFIXES:
            yield Utterance(path, "train", root.name, f"{root.name}/{path.parent.name}")


def _manifest(path: Path) -> Iterator[Utterance]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, delimiter="\t")
            missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise ConfigError(
                    f"{path} lacks the column {missing[0]}", "The first line names the columns."
                )
            for number, row in enumerate(rows):
                if any(row[name] is None for name in COLUMNS):
                    raise ConfigError(
                        f"line {rows.line_num} of {path} has too few fields",
                        f"Each line has {', '.join(rows.fieldnames or ())}, between tabs.",
                    )
                speaker = row["speaker"] if row["speaker"] != UNKNOWN else f"u{number}"
                yield Utterance(
                    path.parent / row["path"],
                    row["split"],
                    row["corpus"],
                    f"{row['corpus']}/{speaker}",
                    row.get("sex") or UNSAID,
                    row.get("age") or UNSAID,
                    row.get("language") or UNSAID,
                    row.get("session") or UNSAID,
                    row["speaker"] != UNKNOWN,
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read {path}: {error}", "Give a manifest.tsv.") from error


def middle(samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """The ``length`` samples in the middle of samples (n,); all of them if there are fewer."""
    start = max(0, (len(samples) - length) // 2)
    return samples[start : start + length]


class Piece(NamedTuple):
    """Speech of one speaker: float32 samples (n,) in [-1, 1]."""

    speaker: str
    samples: NDArray[np.float32]


def cut_pieces(
    utterances: Iterable[Utterance],
    sample_rate_hz: int,
    *,
    shortest_s: float = 1.0,
    longest_s: float = 4.0,
) -> Iterator[Piece]:
    """Join a speaker's short words, and divide long recordings, to pieces of similar length.

    Words are joined up to three quarters of ``longest_s``; a rest shorter than ``shortest_s``
    is left out, unless it is all that there is of a speaker.
    """
    enough, longest = int(0.75 * longest_s * sample_rate_hz), int(longest_s * sample_rate_hz)
    by_speaker: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        by_speaker.setdefault(utterance.speaker, []).append(utterance)
    for speaker, recordings in by_speaker.items():
        waiting: list[NDArray[np.float32]] = []
        given = 0
        for utterance in recordings:
            samples = utterance.samples(sample_rate_hz)
            if len(samples) > longest:
                parts = np.array_split(samples, -(-len(samples) // longest))
                yield from (Piece(speaker, part) for part in parts)
                given += len(parts)
                continue
            waiting.append(samples)
            if sum(map(len, waiting)) >= enough:
                yield Piece(speaker, np.concatenate(waiting))
                waiting, given = [], given + 1
        rest = np.concatenate(waiting) if waiting else np.zeros(0, np.float32)
        if len(rest) >= shortest_s * sample_rate_hz or (not given and len(rest)):
            yield Piece(speaker, rest)
