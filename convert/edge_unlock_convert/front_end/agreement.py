"""How near a network on the device's features comes to the same network on its own."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.errors import QualityError, SpeechError
from edge_unlock_convert.front_end import reference
from edge_unlock_convert.front_end.description import Description
from edge_unlock_convert.front_end.device import FrontEnd
from edge_unlock_convert.network import Network, Pooling, pool, run


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """Embeddings from the device's features against those from the network's own, both float.

    ``exact`` says that the features are an affine function of the device's by their formulas.
    The mean embedding is removed before the ``centered`` cosine: what all embeddings share
    makes any two of them alike.
    """

    exact: bool
    utterances: int
    cosine_median: float
    cosine_min: float
    centered_median: float

    @property
    def note(self) -> str:
        """One line for people."""
        how = "exactly" if self.exact else "as nearly as a linear map can"
        return (
            f"its own features are folded into the first layer {how}: embeddings from the "
            f"device's have a median cosine of {self.cosine_median:.4f} to those from its own "
            f"({self.centered_median:.4f} with the mean embedding removed), of "
            f"{self.cosine_min:.4f} at least ({self.utterances} utterances)"
        )

    def check(self, least: float) -> None:
        """Raise ``QualityError`` where the centered cosine lies below ``least``."""
        if not self.centered_median >= least:
            raise QualityError(
                "the device cannot make the features of this network: its embeddings have a "
                f"median cosine of {self.cosine_median:.3f} to those from its own features, "
                f"{self.centered_median:.3f} with the mean embedding removed; {least:.3f} is the "
                "least accepted (--min-feature-cosine)",
                "Train it on features that the device has, or lower the limit if that will do.",
            )


class Own(NamedTuple):
    """A network as it was trained, and the features that it was trained on."""

    network: Network
    description: Description

    def steps(self, stacked: int, samples: Float32) -> Float32:
        """Network inputs float32 (T, F) of samples (n,), as in training."""
        frames = reference.frames(self.description, samples)
        frames = reference.normalize(self.description, frames)
        count = len(frames) // stacked
        return frames[: count * stacked].reshape(count, -1).astype(np.float32)


def agree(
    own: Own, folded: Network, front_end: FrontEnd, utterances: Sequence[Float32]
) -> Agreement:
    """Embed utterances, samples (n,) each, in both ways.

    Raises ``SpeechError`` when none is long enough.
    """
    encoder = front_end.encoder
    pairs = [
        (own.steps(encoder.frames_stacked, samples), front_end.steps(samples))
        for samples in utterances
    ]
    pairs = [pair for pair in pairs if all(map(len, pair))]
    if not pairs:
        raise SpeechError("the speech is too short to measure features on", "Give more of it.")
    theirs = _embed(own.network, [steps for steps, _ in pairs], encoder.pooling)
    device = _embed(folded, [steps for _, steps in pairs], encoder.pooling)
    cosine = np.sum(theirs * device, axis=1)
    mean = theirs.mean(axis=0) if len(pairs) > 1 else 0.0
    return Agreement(
        exact=own.description.is_exact,
        utterances=len(pairs),
        cosine_median=float(np.median(cosine)),
        cosine_min=float(cosine.min()),
        centered_median=float(np.median(_cosine(theirs - mean, device - mean))),
    )


def _embed(network: Network, inputs: Sequence[Float32], pooling: Pooling) -> Float32:
    outputs = run(network, inputs)
    return np.stack([pool(each.embedding, each.logit, pooling) for each in outputs])


def _cosine(one: Float32, other: Float32) -> Float32:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosine: Float32 = np.sum(one * other, axis=1) / np.maximum(lengths, 1e-12)
    return cosine
