"""A package of anybody on speech of anybody: no recipe, no checkpoint, no splits of its own."""

from collections.abc import Sequence

import numpy as np

from edge_unlock.encoder.package import ModelPackage
from edge_unlock.encoder.similarity import Similarity, unit
from edge_unlock_convert.errors import SpeechError
from edge_unlock_convert.evaluation.evaluate import (
    Condition,
    Row,
    Scoring,
    System,
    embed_whole,
    row_of,
)
from edge_unlock_convert.evaluation.groups import RATE_HZ
from edge_unlock_convert.progress import Progress
from edge_unlock_convert.scoring.trials import COSINE, score_trials
from edge_unlock_convert.speech import Speech

ENROLLED_UTTERANCES = 3
HINT = (
    "Give a folder a speaker, or a manifest that names them, with four recordings or more of each."
)


def measure(
    package: ModelPackage,
    systems: Sequence[System],
    speech: Speech,
    draws: int,
    progress: Progress = lambda _: None,
) -> list[Row]:
    """A row for each of ``systems``, of which the first is the package as the device runs it.

    It is scored as the device scores; the others, and it once more, by the cosine. Recordings
    without a speaker's name are left out. Raises ``SpeechError`` if they make no trials.
    """
    heard = []
    for recording in speech.recordings(RATE_HZ):
        progress(1)
        if recording.speaker is not None:
            heard.append((recording.speaker, recording.samples))
    if not heard:
        raise SpeechError("no recording has a speaker's name", HINT)
    speakers = np.array([speaker for speaker, _ in heard], np.str_)
    rows = []
    for number, system in enumerate(systems):
        embeddings = unit(np.stack([embed_whole(system, samples) for _, samples in heard]))
        ways: list[tuple[Scoring, Similarity]] = []
        if number == 0:
            ways.append(("set against cohort", package.similarity))
        for scoring, similarity in [*ways, ("cosine", COSINE)]:
            try:
                trials = score_trials(
                    embeddings, speakers, enroll=ENROLLED_UTTERANCES, similarity=similarity
                )
            except ValueError as error:
                raise SpeechError(f"the speech makes no trials: {error}", HINT) from error
            condition = Condition("as it is", ENROLLED_UTTERANCES, scoring)
            rows.append(row_of(system.name, "all", condition, trials, draws))
    return rows
