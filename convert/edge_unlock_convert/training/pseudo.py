"""Pseudo-speakers: real voices with another's spectral envelope, other formants, another speed.

A changed voice is another voice to the teacher, too, which hears each of them anew. Variant
0 is the recorded voices; the others are made of it.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.similarity import unit
from edge_unlock_convert.corpus import cut_pieces, read_corpus
from edge_unlock_convert.training.conversion import NO_CHANGE, Change, change_voice
from edge_unlock_convert.training.recipe import Recipe
from edge_unlock_convert.training.sampler import held_out_speakers
from edge_unlock_convert.training.teacher import Teacher
from edge_unlock_convert.training.voices import VoiceSet

SPEEDS, FORMANTS = (0.8, 1.25), (0.9, 1.11)
BORROWED = (0.4, 1.0)
"""How much of the envelope of the lending voice is taken; those who lend are drawn at random."""
BORROWERS = 0.7
"""The share of pseudo-speakers that borrow, where any do."""
LENT_PIECES = 3
"""So many pieces hold nearly every sound of a voice."""
FORMANT_SPREAD = 1.06
"""How far the formants may move at the top of the spectrum, over how far they do at its bottom."""
LEAST_CHANGE = 0.07
"""Sum of the magnitudes of the natural logarithms of speed and formant factor: less is the same
voice."""
CHANGED_ALIKE = 4
"""So many successive pieces of a speaker are changed in one way, and make one pseudo-speaker."""
LONGEST_S = 3.0
LENGTH_STEP_S = 0.25
"""Pieces are cut to multiples of this, so that many of one length are embedded together."""
TEACHER_BATCH = 16


class _Job(NamedTuple):
    """A piece that is to be heard: who speaks, samples (n,), and how the voice is changed.

    ``length`` samples are kept of it; ``lender`` (m,) is the voice whose envelope is borrowed.
    """

    speaker: str
    samples: NDArray[np.float32]
    change: Change
    length: int
    lender: NDArray[np.float32] | None = None

    def voice(self, rate_hz: int) -> NDArray[np.float32]:
        if self.change == NO_CHANGE:
            return self.samples[: self.length]
        changed = change_voice(self.samples, rate_hz, self.change, self.lender)
        return np.resize(changed, self.length)


def make(
    recipe: Recipe,
    speech: Path,
    directory: Path,
    variant: int,
    teachers: Sequence[Teacher],
    report: Callable[[int], object],
) -> int:
    """Write the set ``v<variant>`` of voices into ``directory``; gives the number of pieces.

    Works on all cores. ``report`` is told how many further pieces were embedded. Raises
    ``ConfigError`` if a variant is asked for before the recorded voices.
    """
    rate_hz = recipe.features.sample_rate_hz
    if variant == 0:
        jobs = [
            _Job(piece.speaker, piece.samples, NO_CHANGE, _whole_steps(len(piece.samples), rate_hz))
            for piece in cut_pieces(read_corpus(speech, "train"), rate_hz)
        ]
    else:
        generator = np.random.default_rng((recipe.seed, variant))
        recorded = VoiceSet.load(directory, "v0")
        held_out = held_out_speakers(recipe.held_out, recorded.speakers, recipe.seed)
        borrows = variant >= recipe.variants - recipe.borrowing
        jobs = list(_changed(recorded, held_out, rate_hz, generator, borrows))
    voices: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(jobs)
    embeddings: list[list[NDArray[np.float32]]] = [[]] * len(jobs)
    batches = list(_of_one_length(jobs))
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, get_context("spawn"), _one_thread) as pool:
        tasks = (([jobs[row] for row in rows], teachers, rate_hz) for rows in batches)
        for rows, (made, heard) in zip(batches, pool.map(_hear, tasks), strict=True):
            for number, row in enumerate(rows):
                voices[row] = made[number]
                embeddings[row] = [by_teacher[number] for by_teacher in heard]
            report(len(rows))
    pieces = [(job.speaker, voice) for job, voice in zip(jobs, voices, strict=True)]
    changes = [job.change for job in jobs]
    by_teacher = [unit(np.stack(one)) for one in zip(*embeddings, strict=True)]
    VoiceSet.save(directory, f"v{variant}", pieces, by_teacher, changes)
    return len(pieces)


def draw_change(generator: np.random.Generator, borrows: bool = False) -> Change:
    """A random change of a voice, far enough from none; ``borrows``: most borrow an envelope."""
    borrowed = 0.0
    if borrows and generator.random() < BORROWERS:
        borrowed = float(generator.uniform(*BORROWED))
    while True:
        speed, low = (float(np.exp(generator.uniform(*np.log(r)))) for r in (SPEEDS, FORMANTS))
        spread = float(np.log(FORMANT_SPREAD))
        high = low * float(np.exp(generator.uniform(-spread, spread)))
        if abs(np.log(speed)) + abs(np.log(low)) > LEAST_CHANGE:
            return Change(speed, low, high, borrowed)


def _changed(
    recorded: VoiceSet,
    held_out: set[str],
    rate_hz: int,
    generator: np.random.Generator,
    borrows: bool,
) -> Iterator[_Job]:
    """Each recorded piece once, as a pseudo-speaker; none of speakers that are held out."""
    mine: dict[str, list[int]] = {}
    for index, speaker in enumerate(recorded.speakers.tolist()):
        if speaker not in held_out:
            mine.setdefault(speaker, []).append(index)
    names = sorted(mine)
    for speaker, pieces in mine.items():
        for first in range(0, len(pieces), CHANGED_ALIKE):
            change, lender = draw_change(generator, borrows), None
            if change.borrowed:
                lent = generator.permutation(mine[names[int(generator.integers(len(names)))]])
                lender = np.concatenate([recorded.piece(index) for index in lent[:LENT_PIECES]])
            for index in pieces[first : first + CHANGED_ALIKE]:
                samples = recorded.piece(index)
                longest = int(LONGEST_S * rate_hz * change.speed)
                start = int(generator.integers(max(1, len(samples) - longest + 1)))
                cut = samples[start : start + longest]
                length = _whole_steps(int(len(cut) / change.speed), rate_hz)
                yield _Job(speaker, cut, change, length, lender)


def _whole_steps(length: int, rate_hz: int) -> int:
    step = int(LENGTH_STEP_S * rate_hz)
    return max(length // step * step, min(length, step))


def _of_one_length(jobs: Sequence[_Job]) -> Iterable[list[int]]:
    by_length: dict[int, list[int]] = {}
    for row, job in enumerate(jobs):
        by_length.setdefault(job.length, []).append(row)
    for _, rows in sorted(by_length.items()):
        for first in range(0, len(rows), TEACHER_BATCH):
            yield rows[first : first + TEACHER_BATCH]


def _one_thread() -> None:
    """A process a core, and a thread a process: faster than one process with many threads."""
    import torch

    torch.set_num_threads(1)


def _hear(
    task: tuple[list[_Job], Sequence[Teacher], int],
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    jobs, teachers, rate_hz = task
    voices = [job.voice(rate_hz) for job in jobs]
    return voices, [teacher(np.stack(voices), rate_hz) for teacher in teachers]
