"""The LSTM of the package ``resemblyzer``: a teacher, and what a training may start from.

It was trained by its authors on several thousand speakers (GE2E, Wan et al., 2018; weights under
the Apache License 2.0) and hears the power of 40 mel bands, 25 ms each 10 ms.
"""

import os
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_unlock.errors import ConfigError
from edge_unlock_convert.front_end.description import Description
from edge_unlock_convert.front_end.reference import filterbank

VARIABLE = "EDGE_UNLOCK_RESEMBLYZER"
"""Names the directory of the unzipped wheel (``pip download --no-deps resemblyzer``)."""
WEIGHTS = "resemblyzer/pretrained.pt"
RATE_HZ, WINDOW, HOP = 16_000, 400, 160
LAYERS, HIDDEN = 3, 256
LOUDNESS = 10 ** (-30 / 20)
"""The root mean square up to which quiet speech is raised."""
PART_FRAMES, PART_STEP = 160, 77
"""An utterance is heard in parts of 1.6 s, each on its own; its embedding is their mean."""
_MEL = Description(
    kind="mel", fft_size=WINDOW, spectrum="power", low_hz=0, mel_scale="slaney",
    filter_shape="hertz", filter_area=True, preemphasis=0.0,
)  # fmt: skip


class Resemblyzer(nn.Module):
    """The network, over batches. Frames are not padded at the edges of the speech."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_MEL.filters, HIDDEN, LAYERS, batch_first=True)
        self.linear = nn.Linear(HIDDEN, HIDDEN)
        self._filterbank = nn.Buffer(torch.from_numpy(filterbank(_MEL).T).float(), persistent=False)
        self._window = nn.Buffer(torch.hann_window(WINDOW), persistent=False)

    @classmethod
    def load(cls, device: str = "cpu") -> "Resemblyzer":
        """The published weights. Raises ``ConfigError`` where they are not found."""
        path = Path(os.environ.get(VARIABLE, "")) / WEIGHTS
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")["model_state"]
        except OSError as error:
            raise ConfigError(
                f"cannot read {path}: {error.strerror}",
                f"Unzip the wheel of `pip download --no-deps resemblyzer`; name it in {VARIABLE}.",
            ) from error
        network = cls()
        network.load_state_dict({k: v for k, v in state.items() if not k.startswith("similarity")})
        return network.requires_grad_(False).eval().to(device)

    def frames(self, samples: Tensor) -> Tensor:
        """Samples (B, N) in [-1, 1] to mel powers (B, frames, 40); quiet speech is raised."""
        level = samples.square().mean(1, keepdim=True).sqrt().clamp(min=1e-6)
        loud = samples * (LOUDNESS / level).clamp(min=1)
        spectrum = torch.fft.rfft(loud.unfold(1, WINDOW, HOP) * self._window)
        powers: Tensor = torch.view_as_real(spectrum).square().sum(-1) @ self._filterbank
        return powers

    def states(self, frames: Tensor) -> list[Tensor]:
        """The hidden states (B, frames, 256) of each layer."""
        found, heard = [], frames
        for layer in range(LAYERS):
            heard = run_layer(self.lstm, layer, heard)
            found.append(heard)
        return found

    def embed(self, samples: Tensor) -> Tensor:
        """Samples (B, N), each row one utterance, to embeddings (B, 256) of norm 1."""
        frames = self.frames(samples)
        count = frames.shape[1]
        starts = list(range(0, max(1, count - PART_FRAMES + 1), PART_STEP))
        if count > PART_FRAMES and starts[-1] < count - PART_FRAMES:
            starts.append(count - PART_FRAMES)
        parts = torch.stack([frames[:, start : start + PART_FRAMES] for start in starts], 1)
        _, (hidden, _) = self.lstm(parts.flatten(0, 1))
        each = nn.functional.normalize(self.linear(hidden[-1]).relu(), dim=1)
        return nn.functional.normalize(each.reshape(*parts.shape[:2], -1).mean(1), dim=1)


def run_layer(lstm: nn.LSTM, layer: int, steps: Tensor) -> Tensor:
    """The hidden states (B, T, hidden) of one layer of an LSTM, from zero, over steps (B, T, F)."""
    names = (f"{part}_l{layer}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    weights = [getattr(lstm, name) for name in names]
    zeros = steps.new_zeros(1, len(steps), lstm.hidden_size)
    found: Tensor = torch.lstm(
        steps, (zeros, zeros), weights, True, 1, 0.0, lstm.training, False, True
    )[0]
    return found


def teacher(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """Embeddings (256,) or (B, 256) of norm 1 of float32 samples (n,) or (B, n) at 16 kHz.

    Computed with bfloat16 products, for speed: cosine to the float32 embedding above 0.998.
    """
    if rate_hz != RATE_HZ:
        raise ConfigError("Resemblyzer hears 16 kHz", "Resample the speech.")
    rows = np.atleast_2d(samples)
    rows = np.stack([np.resize(row, max(len(row), WINDOW)) for row in rows])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found: NDArray[np.float32] = _network().embed(torch.from_numpy(rows)).float().numpy()
    return found if samples.ndim > 1 else found[0]


@cache
def _network() -> Resemblyzer:
    return Resemblyzer.load()
