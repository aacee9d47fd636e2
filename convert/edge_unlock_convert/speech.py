"""The speech for ranges and comparison: which recordings, and their samples."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock.errors import AudioError, ConfigError
from edge_unlock_convert.corpus import SUFFIXES, UNKNOWN, Utterance, read_corpus
from edge_unlock_convert.errors import SpeechError

LONGEST_S = 60.0
"""Of a recording is heard: its embedding changes no more, and an hour would fill the memory."""


class Source(NamedTuple):
    """A folder of recordings (in one folder a speaker, or without speakers), or a manifest.

    ``split`` takes one split of a manifest, None all of them.
    """

    path: Path
    split: str | None = None


class Recording(NamedTuple):
    """Who speaks (None when nobody said), and samples float32 (n,) in [-1, 1]."""

    speaker: str | None
    samples: Float32


class Speech:
    """Recordings of a source, at most ``limit``, in a fixed order.

    ``together`` recordings of every speaker come in turn, then as many more of every one, and
    so on. Raises ``SpeechError`` when there are none.
    """

    def __init__(self, source: Source, limit: int | None = None, *, together: int = 1) -> None:
        found = _without_speakers(source.path)
        if found:
            _check_folder(source)
        if not found:
            try:
                found = [(one, one.speaker) for one in read_corpus(source.path, source.split)]
            except ConfigError as error:
                raise SpeechError(str(error), error.hint) from error
        turns = Counter[str | None]()
        order = []
        for index, (_, speaker) in enumerate(found):
            order.append((turns[speaker] // together, index))
            turns[speaker] += 1
        self._found = [found[index] for _, index in sorted(order)[:limit]]

    def __len__(self) -> int:
        return len(self._found)

    def recordings(self, sample_rate_hz: int) -> Iterator[Recording]:
        """Read them, as one channel at ``sample_rate_hz``, the first minute of each.

        Raises ``SpeechError`` for a file that is not audio, or digital silence.
        """
        for one, speaker in self._found:
            try:
                samples = one.samples(sample_rate_hz, LONGEST_S)
            except AudioError as error:
                raise SpeechError(str(error), error.hint) from error
            if not np.isfinite(samples).all():
                raise SpeechError(f"{one.path} holds samples that are not finite", "Remove it.")
            if not samples.any():
                raise SpeechError(f"{one.path} holds no sound", "Remove it.")
            yield Recording(speaker, samples)


def _check_folder(source: Source) -> None:
    """Raise ``SpeechError`` where recordings in a folder itself leave open what is meant."""
    if source.split is not None:
        raise SpeechError(
            f"{source.path} is a folder, which has no split {source.split}",
            "Splits are those of a manifest.",
        )
    if any(path.suffix.lower() in SUFFIXES for path in source.path.glob("*/*")):
        raise SpeechError(
            f"{source.path} holds recordings and folders of recordings: who speaks in the former?",
            "Give a folder a speaker, or recordings alone of whom nobody is named.",
        )


def _without_speakers(source: Path) -> list[tuple[Utterance, str | None]]:
    """The recordings that lie in a folder itself."""
    paths = sorted(source.iterdir()) if source.is_dir() else []
    return [
        (Utterance(path, "", source.name, UNKNOWN), None)
        for path in paths
        if path.suffix.lower() in SUFFIXES
    ]
