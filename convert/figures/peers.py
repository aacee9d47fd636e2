"""Encoders of others, for `edge-unlock-convert evaluate --system`.

    pip install 'setuptools<80' 'numpy<2' resemblyzer
    PYTHONPATH=convert/figures edge-unlock-convert evaluate ... \\
        --system Resemblyzer=peers:resemblyzer
"""

from functools import cache
from typing import Any

import numpy as np

from edge_unlock.encoder.features import Float32


def resemblyzer(samples: Float32, rate_hz: int) -> Float32:
    """The float LSTM of the package `resemblyzer`, as its README uses it: (256,), norm 1."""
    from resemblyzer import preprocess_wav

    prepared = preprocess_wav(samples, source_sr=rate_hz)
    # its voice activity detection may leave nothing of a short word
    heard = prepared if len(prepared) > rate_hz // 4 else samples
    embedding: Float32 = _encoder().embed_utterance(heard).astype(np.float32)
    return embedding


@cache
def _encoder() -> Any:
    from resemblyzer import VoiceEncoder

    return VoiceEncoder("cpu", verbose=False)
