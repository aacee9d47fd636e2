"""The speech that an evaluation compares: by corpus and group, and disturbed."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.corpus import Utterance, cut_pieces, read_corpus
from edge_unlock_convert.packaging import ship
from edge_unlock_convert.training.recipe import Recipe
from edge_unlock_convert.training.rooms import room_responses

RATE_HZ = 16_000
LIBRISPEECH_PIECES, LIBRISPEECH_SECONDS = 12, 3
SNRS_DB = (20, 10, 5)


class Group(NamedTuple):
    """Utterances that are compared with one another, and what is known of who spoke them."""

    name: str
    corpus: str
    samples: list[Float32]
    speakers: NDArray[np.str_]
    sexes: NDArray[np.str_]
    minors: NDArray[np.str_]

    def only(self, chosen: NDArray[np.bool_]) -> "Group":
        """The chosen utterances (n,)."""
        samples = [one for one, kept in zip(self.samples, chosen, strict=True) if kept]
        return Group(
            self.name,
            self.corpus,
            samples,
            self.speakers[chosen],
            self.sexes[chosen],
            self.minors[chosen],
        )


def groups(source: Path, recipe: Recipe) -> list[Group]:
    """The corpora of the split ``eval``, and the LibriSpeech speakers held out of training."""
    found = read_corpus(source, "eval")
    made = [
        _group(corpus, [u for u in found if u.corpus == corpus])
        for corpus in sorted({u.corpus for u in found})
    ]
    held = [u for u in ship.Parts.read(source, recipe).held_out if u.corpus == "librispeech"]
    if held:
        made.append(_librispeech(held))
    return made


def _group(name: str, utterances: Sequence[Utterance]) -> Group:
    return Group(
        name,
        name,
        [u.samples(RATE_HZ) for u in utterances],
        np.array([u.speaker for u in utterances]),
        np.array([{"m": "male", "f": "female"}.get(u.sex, "-") for u in utterances]),
        np.array([_age_group(u.age) for u in utterances]),
    )


def _age_group(age: str) -> str:
    if not age.isdigit():
        return "-"
    return "under 18" if int(age) < 18 else "18 and over"


def _librispeech(utterances: Sequence[Utterance]) -> Group:
    samples: list[Float32] = []
    speakers: list[str] = []
    for piece in cut_pieces(utterances, RATE_HZ):
        enough = len(piece.samples) >= LIBRISPEECH_SECONDS * RATE_HZ
        if enough and speakers.count(piece.speaker) < LIBRISPEECH_PIECES:
            samples.append(piece.samples[: LIBRISPEECH_SECONDS * RATE_HZ])
            speakers.append(piece.speaker)
    unknown = np.full(len(speakers), "-")
    return Group(
        "librispeech (held out)", "librispeech", samples, np.array(speakers), unknown, unknown
    )


def first_of_each(speakers: NDArray[np.str_], count: int) -> NDArray[np.bool_]:
    """Which utterances (n,) are among the first ``count`` of their speakers."""
    chosen = np.zeros(len(speakers), bool)
    for speaker in np.unique(speakers):
        chosen[np.flatnonzero(speakers == speaker)[:count]] = True
    return chosen


def disturbed(group: Group, noise: Float32) -> list[tuple[str, list[Float32]]]:
    """The utterances of a group in ``noise`` (n,) and in rooms, by name of the condition."""
    made = []
    for snr_db in SNRS_DB:
        generator = np.random.default_rng(snr_db)
        tests = [_noisy(one, noise, snr_db, generator) for one in group.samples]
        made.append((f"noise at {snr_db} dB", tests))
    generator, rooms = np.random.default_rng(0), room_responses(40, RATE_HZ, seed=2**31)
    echoing = [
        np.convolve(one, rooms[generator.integers(len(rooms))])[: len(one)].astype(np.float32)
        for one in group.samples
    ]
    return [*made, ("simulated room", echoing)]


def _noisy(
    speech: Float32, noise: Float32, snr_db: float, generator: np.random.Generator
) -> Float32:
    start = int(generator.integers(len(noise) - len(speech)))
    piece = noise[start : start + len(speech)]
    scale = np.sqrt(np.mean(speech**2) / max(float(np.mean(piece**2)), 1e-12))
    mixed = speech + piece * np.float32(scale * 10 ** (-snr_db / 20))
    return np.asarray(mixed / max(1.0, float(np.abs(mixed).max())), np.float32)
