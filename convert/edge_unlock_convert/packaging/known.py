"""A recording whose embedding is known from the network's own code: the proof of its features."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.features import Float32
from edge_unlock.errors import AudioError
from edge_unlock_convert.corpus import UNKNOWN, Utterance
from edge_unlock_convert.errors import ConversionError, QualityError, SpeechError
from edge_unlock_convert.front_end import FrontEnd, Own
from edge_unlock_convert.network import Network, Outputs, Pooling, pool, run
from edge_unlock_convert.quantization import quantized

MAX_BYTES = 2**20
OTHERS = 20


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """Cosines of the known embedding to those that were made here of the same recording.

    ``own``: from features as described (None: no description); ``original`` and ``quantized``:
    from the device's, of the float network and of the package. ``others`` is the median of the
    float network's embeddings of other recordings, which is what strangers have.
    """

    own: float | None
    original: float
    quantized: float
    others: float

    def rows(self) -> list[tuple[str, str]]:
        """The result as rows of two columns, for the terminal."""
        rows = [
            ("features as described", self.own),
            ("float", self.original),
            ("quantized", self.quantized),
            ("other recordings", self.others),
        ]
        return [
            (f"known embedding, {name}", f"{value:.4f}")
            for name, value in rows
            if value is not None
        ]

    def check(self, least: float) -> None:
        """Raise ``QualityError`` when the package lies below ``least``."""
        if self.quantized >= least:
            return
        hint = "Its features are the likely cause: say with --front-end what it was trained on."
        if self.own is not None and self.own >= least:
            hint = "The description is right, but the device cannot make these features."
        elif self.original >= least:
            hint = (
                "Quantization lost that: give more varied representative speech, "
                "or another --range."
            )
        own = "" if self.own is None else f"from its features as described {self.own:.3f}, "
        raise QualityError(
            f"the package does not give the known embedding: its cosine is {self.quantized:.3f}, "
            f"that of the float network {self.original:.3f}, {own}of other recordings "
            f"{self.others:.3f}; {least:.3f} is the least accepted (--min-check-cosine)",
            hint,
        )


class Encodings(NamedTuple):
    """The same network in all its forms: as described (if it is), float, and quantized."""

    own: Own | None
    original: Network
    model: bytes
    front_end: FrontEnd


class KnownEmbedding(NamedTuple):
    """The files: ``audio``, and its embedding, as .npy or as a JSON list of numbers."""

    audio: Path
    embedding: Path

    def compare(self, encodings: Encodings, others: Sequence[Float32]) -> Check:
        """Embed the recording in all ways; ``others`` are network inputs, each (T, F).

        Raises ``SpeechError`` for the audio and ``ConversionError`` for the embedding.
        """
        own, network, model, front_end = encodings
        encoder = front_end.encoder
        try:
            utterance = Utterance(self.audio, "", "", UNKNOWN)
            samples = utterance.samples(front_end.features.sample_rate_hz)
        except AudioError as error:
            raise SpeechError(str(error), error.hint) from error
        steps = front_end.steps(samples)
        if not len(steps) or not np.isfinite(steps).all():
            raise SpeechError(f"{self.audio} is too short or no speech", "Give another recording.")
        known = read_embedding(self.embedding, encoder.embedding_size)

        def cosine(outputs: Outputs) -> float:
            return _cosine(known, outputs, encoder.pooling)

        described = None
        if own is not None and len(theirs := own.steps(encoder.frames_stacked, samples)):
            described = cosine(next(iter(run(own.network, [theirs]))))
        return Check(
            own=described,
            original=cosine(next(iter(run(network, [steps])))),
            quantized=cosine(next(iter(quantized.run(model, [steps], encoder.embedding_size)))),
            others=float(np.median([cosine(one) for one in run(network, others[:OTHERS])])),
        )


def read_embedding(path: Path, size: int) -> NDArray[np.float64]:
    """The embedding (size,) in a file, of any length but zero.

    Raises ``ConversionError`` when it is something else.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES)
        if data.startswith(b"\x93NUMPY"):
            values = np.load(io.BytesIO(data), allow_pickle=False)
        else:
            values = np.array(msgspec.json.decode(data))
        values = values.astype(np.float64).squeeze()
        if values.shape != (size,):
            raise ValueError(f"its shape is {values.shape}, the network's embedding is ({size},)")
        if not np.isfinite(values).all() or not values.any():
            raise ValueError("it is zero or not finite")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ConversionError(
            f"{path} is no embedding: {error}", "Give .npy, or a JSON list of numbers."
        ) from error
    return np.asarray(values)


def _cosine(known: NDArray[np.float64], outputs: Outputs, pooling: Pooling) -> float:
    embedding = pool(outputs.embedding, outputs.logit, pooling)
    return float(embedding @ known / np.linalg.norm(known))
