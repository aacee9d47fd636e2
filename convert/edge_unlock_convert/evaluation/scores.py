"""Scores of the trials of a design."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.calibration import Quality
from edge_unlock.encoder.features import Float32
from edge_unlock.encoder.package import Manifest, ModelPackage
from edge_unlock.encoder.similarity import Similarity, unit
from edge_unlock_convert.errors import SpeechError
from edge_unlock_convert.evaluation.design import Design
from edge_unlock_convert.evaluation.listening import Voices
from edge_unlock_convert.evaluation.tally import Bools, Scored
from edge_unlock_convert.scoring.metrics import Floats, Trials
from edge_unlock_convert.scoring.thresholds import needed_scores

MOST_CELLS = 2**24
"""Of a block of templates by recordings: 64 MiB, a few times over."""


def device_scores(
    package: ModelPackage, design: Design, enrolled: Float32, tested: Voices
) -> Scored:
    """As the device decides: set against the cohort, with likelihood ratios and thresholds."""
    trials = trials_of(design, enrolled, tested.embeddings, package.similarity)
    magnitude = np.linalg.norm(tested.embeddings, axis=1).astype(np.float64)
    quality = Quality(tested.seconds.astype(np.float64), magnitude).only(design.test)
    manifest = package.manifest
    llr = None if manifest.calibration is None else manifest.calibration.llr(trials.scores, quality)
    return Scored(
        trials if llr is None else trials._replace(scores=llr),
        llr,
        _accepted(manifest, design, trials.scores, quality),
        ~tested.refused.astype(bool)[design.test],
    )


def plain_scores(design: Design, embeddings: Float32, similarity: Similarity) -> Scored:
    """The similarity alone, of any encoder's embeddings (R, D)."""
    return Scored(trials_of(design, embeddings, embeddings, similarity))


def trials_of(design: Design, enrolled: Float32, tested: Float32, similarity: Similarity) -> Trials:
    """The trials of a design, of the embeddings (R, D) that are enrolled and those compared.

    Raises ``SpeechError`` where one has no direction.
    """
    with np.errstate(invalid="ignore"):  # what has no direction is told below
        voices, others = unit(enrolled), unit(tested)
        templates = unit(np.stack([voices[list(one)].mean(axis=0) for one in design.templates]))
    scores = pair_scores(templates, others, design.template, design.test, similarity)
    if not np.isfinite(scores).all():
        bad = design.recordings[design.test[int(np.flatnonzero(~np.isfinite(scores))[0])]]
        raise SpeechError(f"{bad.path} or its template has no embedding", "Is there any sound?")
    speakers = design.speakers
    return Trials(
        scores, speakers[design.owners][design.template], speakers[design.test], design.test
    )


def pair_scores(
    templates: Float32,
    voices: Float32,
    template: NDArray[np.int64],
    test: NDArray[np.int64],
    similarity: Similarity,
) -> Floats:
    """Scores (T,) of T pairs of templates (M, D) and voices (R, D), all of norm 1.

    Templates are taken in blocks with what is compared with them, so that neither all scores
    are computed nor a voice is set against the cohort for every trial.
    """
    order = np.argsort(template, kind="stable")
    rows, columns = template[order], test[order]
    scores = np.empty(len(order))
    size = max(1, MOST_CELLS // max(len(voices), 1))
    edges = np.searchsorted(rows, np.arange(0, len(templates) + size, size))
    for start, end in pairwise(edges):
        if start == end:
            continue
        first = rows[start] // size * size
        used, places = np.unique(columns[start:end], return_inverse=True)
        block = similarity.scores(templates[first : first + size], voices[used])
        scores[order[start:end]] = block[rows[start:end] - first, places]
    return scores


def _accepted(
    manifest: Manifest, design: Design, scores: Floats, quality: Quality
) -> dict[str, Bools]:
    """Which trials the device would accept, by operating point."""
    counts = np.array([len(one) for one in design.templates])[design.template]
    accepted = {point.name: np.zeros(len(scores), bool) for point in manifest.operating_points}
    for count in np.unique(counts).tolist():
        rows = np.flatnonzero(counts == count)
        for point in manifest.operating_points:
            needed = needed_scores(manifest, point, quality.only(rows), count)
            accepted[point.name][rows] = scores[rows] >= needed
    return accepted
