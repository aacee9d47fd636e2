"""What a person says of the front end of a checkpoint, and the front end that this makes."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from edge_unlock.encoder.features import FeatureSpec, Float32
from edge_unlock.encoder.package import EncoderSpec
from edge_unlock_convert.checkpoint.assembly import POOLING_UNKNOWN, told
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.front_end.agreement import Agreement
from edge_unlock_convert.front_end.description import Description
from edge_unlock_convert.front_end.device import PRIOR_FRAMES, FrontEnd, measure_normalization
from edge_unlock_convert.front_end.fold import fold
from edge_unlock_convert.network import Network, Pooling


class FrontEndAnswers(NamedTuple):
    """What a person says of the front end of a checkpoint without ``front_end.json``.

    ``features`` are the device's own, or described as a library makes them.
    """

    features: FeatureSpec | Description = FeatureSpec()
    frames_stacked: int | None = None
    pooling: Pooling | None = None
    prior_frames: float = PRIOR_FRAMES

    def assumptions(self) -> tuple[str, ...]:
        """What is taken for granted of the features, where nobody says it."""
        spec = self.features
        if isinstance(spec, Description):
            return ()
        to_ms = 1000 / spec.sample_rate_hz
        return (
            f"assumed: {spec.coefficients} MFCC of {spec.filters} mel filters from "
            f"{spec.low_hz:g} to {spec.high_hz:g} Hz, windows of "
            f"{spec.window_samples * to_ms:g} ms every {spec.hop_samples * to_ms:g} ms, "
            f"pre-emphasis {spec.preemphasis:g}",
            "assumed: a running mean is subtracted, which starts at that of the representative "
            f"speech with the weight of {self.prior_frames:g} frames; deviations are measured on "
            "that speech",
        )

    def stacked(self, input_size: int) -> int:
        """Frames that make a step of the network. Raises ``CheckpointError`` if none fit."""
        features = self.features
        size = features.size if isinstance(features, Description) else features.coefficients
        stacked = self.frames_stacked or input_size // size
        if stacked * size != input_size:
            raise CheckpointError(
                f"the network takes {input_size} inputs a step, which are not "
                f"{self.frames_stacked or 'whole'} frames of {size} coefficients",
                "Say how it was trained: --coefficients and --frames-stacked, or --front-end FILE.",
            )
        return stacked

    def complete(
        self, network: Network, samples: Sequence[Float32]
    ) -> tuple[Network, FrontEnd, Agreement | None]:
        """The front end of a network, its normalization measured on ``samples``, each (n,).

        Features of another origin than the device's are folded into the network; then the third
        says how well. Raises ``CheckpointError`` when something is left open.
        """
        problems = []
        try:
            stacked = self.stacked(network.input_size)
        except CheckpointError as error:
            problems.append((str(error), error.hint or ""))
        implied = "attention" if network.attention is not None else network.pooling
        pooling = self.pooling or implied
        if pooling is None:
            problems.append(POOLING_UNKNOWN)
        if problems or pooling is None:
            raise told(problems)
        features = self.features
        encoder = _encoder(stacked, network.embedding_size, pooling)
        if isinstance(features, Description):
            return fold(network, features, encoder, samples, self.prior_frames)
        normalization = measure_normalization(features, samples, self.prior_frames)
        front_end = FrontEnd(features=features, normalization=normalization, encoder=encoder)
        return network, front_end, None


def _encoder(stacked: int, embedding_size: int, pooling: Pooling) -> EncoderSpec:
    fields = {
        "frames_stacked": stacked,
        "embedding_size": embedding_size,
        "pooling": pooling,
    }
    try:
        return msgspec.convert(fields, EncoderSpec)
    except msgspec.ValidationError as error:
        raise CheckpointError(
            f"the device takes no such network: {error}", "Train one of a size for a device."
        ) from error
