"""Draws the trials of an evaluation: who is enrolled with what, and who is then compared.

Every speaker is enrolled with ``enroll`` random utterances; every other utterance, of every
speaker, is then compared with every template. This is repeated with other utterances.
"""

import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.features import Float32
from edge_unlock.encoder.similarity import Similarity, unit
from edge_unlock_convert.scoring.metrics import Trials

COSINE = Similarity(None)


def score_trials(  # noqa: PLR0913 - the conditions of an evaluation, all but two by name
    embeddings: Float32,
    speakers: NDArray[np.str_],
    *,
    enroll: int = 3,
    draws: int = 5,
    seed: int = 0,
    similarity: Similarity = COSINE,
    tests: Float32 | None = None,
) -> Trials:
    """Scores of all trials among embeddings (n, D) of norm 1, by ``speakers`` (n,).

    ``similarity`` scores them, as on the device. ``tests`` (n, D) replaces the embeddings of
    the compared utterances: the same utterances in noise, or cut short. Speakers with no
    utterance left to compare are used as impostors only. Raises ``ValueError`` if there is no
    target trial or no non-target trial.
    """
    names, codes = np.unique(speakers, return_inverse=True)
    if len(names) < 2:
        raise ValueError("fewer than two speakers make no non-target trial")
    voices = embeddings if tests is None else tests
    generator = np.random.default_rng(seed)
    scores, enrolled, tested, utterances = [], [], [], []
    for _ in range(draws):
        used = np.zeros(len(codes), bool)
        templates, owners = [], []
        for code in range(len(names)):
            own = generator.permutation(np.flatnonzero(codes == code))
            if len(own) <= enroll:
                continue
            used[own[:enroll]] = True
            templates.append(unit(embeddings[own[:enroll]].mean(axis=0)))
            owners.append(code)
        if not templates:
            raise ValueError(f"no speaker has more than {enroll} utterances")
        matrix = similarity.scores(np.stack(templates), voices[~used])
        grid = np.broadcast_to(np.array(owners)[:, None], matrix.shape)
        scores.append(matrix.ravel())
        enrolled.append(grid.ravel())
        tested.append(np.broadcast_to(codes[~used], matrix.shape).ravel())
        utterances.append(np.broadcast_to(np.flatnonzero(~used), matrix.shape).ravel())
    return Trials(
        np.concatenate(scores).astype(np.float64),
        np.concatenate(enrolled),
        np.concatenate(tested),
        np.concatenate(utterances),
    )
