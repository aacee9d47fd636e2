"""The noises of a corpus: those that are trained on, and those that are not."""

from pathlib import Path

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.corpus import read_corpus

KEPT_APART = 4
"""Every fourth short noise, and what lies after 30 s of each long one, is not trained on."""
LONG_S = 30


def split_noise(source: Path, rate_hz: int, *, training: bool) -> Float32:
    """One after the other (n,), the noises of the split ``noise`` for either use."""
    pieces = []
    number, edge = 0, LONG_S * rate_hz
    for utterance in read_corpus(source, "noise"):
        samples = utterance.samples(rate_hz)
        if len(samples) > edge:
            pieces.append(samples[:edge] if training else samples[edge:])
            continue
        if (number % KEPT_APART != KEPT_APART - 1) == training:
            pieces.append(samples)
        number += 1
    return np.concatenate(pieces)
