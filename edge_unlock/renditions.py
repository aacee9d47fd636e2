"""An utterance with its parts in other orders: the same voice, as if something else were said.

A recurrent network hears every sound after those that came before it. What it makes of a voice
after several histories differs by chance, and the mean is nearer to the voice. Enrolling is rare
and may take that time; what is compared with a template is heard once, as it was said.
"""

from collections.abc import Iterator

import numpy as np

from edge_unlock.audio.source import SAMPLE_RATE_HZ
from edge_unlock.features import Float32

PART_S = (0.15, 0.45)
"""How long a part is: about a syllable to a word."""


def renditions(speech: Float32, count: int) -> Iterator[Float32]:
    """Speech (n,) in ``count`` - 1 random orders, the same ones every time, and then as it is."""
    generator = np.random.default_rng(len(speech))
    least, most = (round(seconds * SAMPLE_RATE_HZ) for seconds in PART_S)
    for _ in range(count - 1):
        ends = generator.integers(least, most, len(speech) // least + 1).cumsum()
        parts = np.split(speech, ends[ends < len(speech)])
        yield np.concatenate([parts[number] for number in generator.permutation(len(parts))])
    yield speech
