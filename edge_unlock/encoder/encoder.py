"""The speaker encoder: samples in, one embedding of the voice out, at any time.

The recurrent state lives in the interpreter between calls, so that an utterance may be
pushed in pieces as it is spoken; ``reset`` starts the next one.
"""

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.features import Float32, MfccStream, NormalizationStream
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.errors import AudioError, ModelError

ATTENTION_LOGIT_LIMIT = 20.0
"""Bounds exp() of the attention output; a trained network stays far below."""


class Embedding(NamedTuple):
    """What an utterance was embedded as."""

    direction: Float32
    """``Encoder.embedding``: (D,), norm 1."""
    magnitude: float
    """``Encoder.magnitude``."""


class Encoder:
    """An int8 LSTM speaker encoder.

    One instance follows one stream: it keeps the state of the utterance that is being
    pushed. ``embed`` is the short way for a whole recording.
    """

    def __init__(self, package: ModelPackage) -> None:
        self.package = package
        manifest = package.manifest
        self.embedding_size = manifest.encoder.embedding_size
        self.sample_rate_hz = manifest.features.sample_rate_hz
        self._stacked = manifest.encoder.frames_stacked
        self._pooling = manifest.encoder.pooling
        self._mfcc = MfccStream(manifest.features)
        self._normalization = NormalizationStream(manifest.normalization)
        self._network = _Network(package)
        self.resets = 0
        """How often it began anew: who shares it sees whether its state is still theirs."""
        self.reset()

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Encoder":
        """Load the model package at ``path``; without one, the model that ships.

        Raises ``ModelError`` when the package is missing, altered or does not run.
        """
        return cls(ModelPackage.load(None if path is None else Path(path)))

    def reset(self) -> None:
        """Forget the current utterance."""
        self.resets += 1
        self._mfcc.reset()
        self._normalization.reset()
        self._network.reset()
        self._frames = np.zeros((0, self.package.manifest.features.coefficients), np.float32)
        self._weighted_sum = np.zeros(self.embedding_size)
        self._weight = 0.0

    def push(self, samples: Float32) -> None:
        """Take the next samples (n,) of the utterance: mono, [-1, 1], at ``sample_rate_hz``.

        Raises ``AudioError`` for samples that are not finite or not one channel.
        """
        if samples.ndim != 1 or not np.isfinite(samples).all():
            raise AudioError("samples must be one channel of finite numbers", "Check the source.")
        frames = self._normalization.push(self._mfcc.push(samples))
        frames = np.concatenate((self._frames, frames))
        steps = len(frames) // self._stacked
        used = steps * self._stacked
        self._frames = frames[used:]
        for step in frames[:used].reshape(steps, self._stacked * frames.shape[1]):
            embedding, logit = self._network.step(step)
            if self._pooling == "last":
                self._weighted_sum, self._weight = embedding, 1.0
                continue
            weight = np.exp(np.clip(logit, -ATTENTION_LOGIT_LIMIT, ATTENTION_LOGIT_LIMIT))
            self._weighted_sum = self._weighted_sum + weight * embedding
            self._weight += weight

    @property
    def embedding(self) -> Float32 | None:
        """The embedding of the utterance so far: float32 (D,), L2 norm 1.

        None while too little was pushed for a first step, or if the sum is not a direction.
        """
        norm = np.linalg.norm(self._weighted_sum)
        if not self._weight or not np.isfinite(norm) or norm == 0:
            return None
        unit: Float32 = (self._weighted_sum / norm).astype(np.float32)
        return unit

    @property
    def magnitude(self) -> float | None:
        """How long the mean of the steps was, of which ``embedding`` is the direction.

        Steps that agree on a voice make a long mean: it tells how far to trust the embedding.
        None where there is none. In units of the network's output.
        """
        if self.embedding is None:
            return None
        return float(np.linalg.norm(self._weighted_sum) / self._weight)

    @property
    def utterance(self) -> Embedding | None:
        """``embedding`` and ``magnitude`` of the utterance so far; None where there is none."""
        direction, magnitude = self.embedding, self.magnitude
        if direction is None or magnitude is None:
            return None
        return Embedding(direction, magnitude)

    def embed(self, samples: Float32, sample_rate: int) -> Float32:
        """Embed a whole recording: samples (n,), mono, float32 in [-1, 1], at any rate in Hz.

        Returns float32 (D,), L2 norm 1. Raises ``AudioError`` for samples that are not finite,
        not mono, or too few for one step of the encoder.
        """
        if sample_rate != self.sample_rate_hz:
            import soxr  # noqa: PLC0415  # the usual rate needs none

            samples = soxr.resample(
                np.asarray(samples, np.float32), sample_rate, self.sample_rate_hz
            )
        embedding = self.embed_pieces([samples])
        if embedding is None:
            raise AudioError("the recording is too short to embed", "Record at least one second.")
        return embedding

    def embed_pieces(self, pieces: Iterable[Float32]) -> Float32 | None:
        """Embed the pieces of one utterance, each (n,) as ``push`` takes them.

        Returns float32 (D,), L2 norm 1, or None when they are too short for one step.
        """
        self.reset()
        for piece in pieces:
            self.push(piece)
        return self.embedding


class _Network:
    """One step of the int8 network at a time, in floats on both sides."""

    def __init__(self, package: ModelPackage) -> None:
        spec = package.manifest.encoder
        width = spec.frames_stacked * package.manifest.features.coefficients
        try:
            library = runtime()
            self._interpreter = library.Interpreter(
                model_content=package.model,
                num_threads=1,  # a step is too small to share between cores
                # no delegate runs an int8 LSTM; without, nothing is printed when loading
                experimental_op_resolver_type=(
                    library.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
                ),
            )
            index = self._interpreter.get_input_details()[0]["index"]
            self._interpreter.resize_tensor_input(index, [1, 1, width])
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"the network does not run: {reason}", "Convert it again.") from error
        inputs = self._interpreter.get_input_details()
        outputs = {detail["shape"][-1]: detail for detail in self._interpreter.get_output_details()}
        if len(inputs) != 1 or spec.embedding_size not in outputs:
            raise ModelError(
                "the network's inputs or outputs are not those of its manifest",
                "Convert it again.",
            )
        self._input = _QuantizedTensor(inputs[0])
        self._embedding = _QuantizedTensor(outputs[spec.embedding_size])
        self._logit: _QuantizedTensor | None = None
        if spec.pooling == "attention":
            if 1 not in outputs:
                raise ModelError("the network has no attention output", "Convert it again.")
            self._logit = _QuantizedTensor(outputs[1])

    def reset(self) -> None:
        self._interpreter.reset_all_variables()

    def step(self, features: Float32) -> tuple[NDArray[np.float64], float]:
        """Features (F,) to the step's embedding (D,) and attention logit."""
        self._interpreter.set_tensor(self._input.index, self._input.quantize(features)[None, None])
        self._interpreter.invoke()
        get = self._interpreter.get_tensor
        embedding = self._embedding.dequantize(get(self._embedding.index)).reshape(-1)
        if self._logit is None:
            return embedding, 0.0
        return embedding, float(self._logit.dequantize(get(self._logit.index)).item())


class _QuantizedTensor:
    """Scale and zero point of an input or output tensor; a float tensor passes unchanged."""

    def __init__(self, detail: dict[str, Any]) -> None:
        self.index: int = detail["index"]
        self._scale, self._zero_point = detail["quantization"]
        self._dtype = detail["dtype"]

    def quantize(self, values: Float32) -> Any:
        if self._dtype != np.int8:
            return values.astype(self._dtype)
        steps = np.rint(values / self._scale) + self._zero_point
        return np.clip(steps, -128, 127).astype(np.int8)

    def dequantize(self, values: Any) -> Any:
        if self._dtype != np.int8:
            return values.astype(np.float64)
        return (values.astype(np.float64) - self._zero_point) * self._scale


def runtime() -> ModuleType:
    """The TFLite runtime: tflite-runtime up to Python 3.11, ai-edge-litert after.

    Imported when a model is loaded, so that what needs none starts without it. Raises
    ``ModelError`` when it is missing or broken.
    """
    # On aarch64 importing tflite-runtime 2.14 makes the processor flush denormals to zero. numpy
    # measures a type at its first finfo and would warn of it then: let it measure, and keep, now.
    for dtype in (np.float32, np.float64):
        np.finfo(dtype)
    try:
        try:
            from tflite_runtime import interpreter  # noqa: PLC0415
        except ModuleNotFoundError as error:
            if error.name != "tflite_runtime":  # it is there, and something of it is missing
                raise
            from ai_edge_litert import interpreter  # noqa: PLC0415
    except (ImportError, OSError) as error:
        raise ModelError(
            f"the TFLite runtime cannot be loaded: {error}",
            "Install edge-unlock again: pip brings the runtime and the numpy that it is built for.",
        ) from error
    return interpreter  # type: ignore[no-any-return]  # published without type information
