"""The recurrent network of a package, run one step at a time by the TFLite runtime.

Its state lies in one of two places. A network with fused LSTM operators keeps it in the
interpreter. One of single operators takes its states as further inputs, and gives those that
follow them as further outputs in the same order: they are carried over here.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.features import Float32
from edge_unlock.errors import ModelError
from edge_unlock.quiet import quiet_stderr

LITERT = "ai_edge_litert"
"""The runtime whose default delegate (XNNPACK) multiplies int8 matrices, many times as fast."""


class Step(NamedTuple):
    """What the network gives for one step."""

    embedding: NDArray[np.float64]
    """(D,)."""
    logit: float
    """Of attention; 0 without it."""


class Network:
    """A network and its state. It takes and gives real numbers, whatever it computes in."""

    def __init__(self, model: bytes, width: int, embedding_size: int, *, attention: bool) -> None:
        """``model`` is a TFLite file that takes steps of ``width`` numbers.

        Raises ``ModelError`` when it does not run, or gives other than an embedding of so many
        numbers and, with ``attention``, one logit.
        """
        self._interpreter = interpreter(model, width)
        source, *states = map(Tensor, self._interpreter.get_input_details())
        outputs = [Tensor(detail) for detail in self._interpreter.get_output_details()]
        count = max(0, len(outputs) - len(states))
        heads, following = in_order(outputs[:count], embedding_size), outputs[count:]
        sizes = [embedding_size, 1] if attention else [embedding_size]
        if (
            [head.size for head in heads] != sizes
            or not all(one.is_real for one in (source, *heads))
            or [state.layout for state in states] != [state.layout for state in following]
        ):
            raise ModelError(
                "the network's inputs or outputs are not those of its manifest",
                "Convert it again.",
            )
        self._source, self._embedding, *rest = (source, *heads)
        self._logit = rest[0] if rest else None
        self._states = list(zip(states, following, strict=True))
        self.reset()

    def reset(self) -> None:
        """Begin a new utterance."""
        self._interpreter.reset_all_variables()
        for state, _ in self._states:
            self._interpreter.set_tensor(state.index, state.zeros())

    def step(self, features: Float32) -> Step:
        """Take the features (F,) of the next step."""
        running = self._interpreter
        running.set_tensor(self._source.index, self._source.quantize(features)[None, None])
        running.invoke()
        for state, following in self._states:
            running.set_tensor(state.index, running.get_tensor(following.index))
        embedding = self._embedding.dequantize(running.get_tensor(self._embedding.index))
        if self._logit is None:
            return Step(embedding.reshape(-1), 0.0)
        logit = self._logit.dequantize(running.get_tensor(self._logit.index))
        return Step(embedding.reshape(-1), float(logit.item()))

    @property
    def states(self) -> tuple[Float32, ...]:
        """The states (H,) for the next step, in their order; none of a fused LSTM."""
        get = self._interpreter.get_tensor
        return tuple(
            state.dequantize(get(state.index)).reshape(-1).astype(np.float32)
            for state, _ in self._states
        )


class Tensor:
    """A tensor of an interpreter: its place, and what its integers stand for, if it has any."""

    def __init__(self, detail: dict[str, Any]) -> None:
        self.index: int = detail["index"]
        self._shape = tuple(map(int, detail["shape"]))
        self._scale, self._zero_point = detail["quantization"]
        self._dtype = detail["dtype"]

    @property
    def size(self) -> int:
        """The numbers it holds."""
        return math.prod(self._shape)

    @property
    def layout(self) -> tuple[Any, ...]:
        """What two tensors have in common of which one may be put into the other."""
        return self._shape, self._dtype, self._scale, self._zero_point

    @property
    def is_real(self) -> bool:
        """Whether it holds real numbers, as such or as integers with a scale."""
        return bool(self._dtype == np.float32 or (self._dtype == np.int8 and self._scale > 0))

    def zeros(self) -> NDArray[Any]:
        """What it holds when all of its numbers are 0."""
        return np.full(self._shape, self._zero_point, self._dtype)

    def quantize(self, values: Float32) -> Any:
        """Real numbers as it holds them; beyond the ends of its range, the ends."""
        if self._dtype != np.int8:
            return values.astype(self._dtype)
        steps = np.rint(values / self._scale) + self._zero_point
        return np.clip(steps, -128, 127).astype(np.int8)

    def dequantize(self, values: Any) -> Any:
        """The real numbers, float64, of what it holds."""
        if self._dtype != np.int8:
            return values.astype(np.float64)
        return (values.astype(np.float64) - self._zero_point) * self._scale


def in_order(heads: list[Tensor], embedding_size: int) -> list[Tensor]:
    """The outputs of a step with the embedding first: TensorFlow's converter mixes them."""
    return sorted(heads, key=lambda head: head.size != embedding_size)


def interpreter(model: bytes, width: int, **options: Any) -> Any:
    """An interpreter for a model's bytes, ready to take a step of ``width`` numbers.

    On one core: a step is too small to share. ``options`` are further ones of the runtime. Raises
    ``ModelError`` when the model does not run, or there is no runtime.
    """
    library = runtime()
    kernels = library.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    quiet: AbstractContextManager[None] = nullcontext()
    if library.__name__.startswith(LITERT):
        kernels, quiet = library.OpResolverType.BUILTIN, quiet_stderr()
    with quiet:
        try:
            made = library.Interpreter(
                model_content=model, num_threads=1, experimental_op_resolver_type=kernels, **options
            )
            inputs = made.get_input_details()
            if not inputs:
                raise ValueError("it takes nothing")
            if tuple(inputs[0]["shape"]) != (1, 1, width):
                made.resize_tensor_input(inputs[0]["index"], (1, 1, width))
            made.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"the network does not run: {reason}", "Convert it again.") from error
    return made


def runtime() -> ModuleType:
    """The TFLite runtime: ai-edge-litert where it is installed, as it is from Python 3.12 on, or
    tflite-runtime.

    Imported when a model is loaded, so that what needs none starts without it. Raises
    ``ModelError`` when it is missing or broken.
    """
    # On aarch64 importing tflite-runtime 2.14 makes the processor flush denormals to zero. numpy
    # measures a type at its first finfo and would warn of it then: let it measure, and keep, now.
    for dtype in (np.float32, np.float64):
        np.finfo(dtype)
    try:
        try:
            from ai_edge_litert import interpreter  # noqa: PLC0415
        except ModuleNotFoundError as error:
            if error.name != LITERT:  # it is there, and something of it is missing
                raise
            from tflite_runtime import interpreter  # noqa: PLC0415
    except (ImportError, OSError) as error:
        raise ModelError(
            f"the TFLite runtime cannot be loaded: {error}",
            "Install edge-unlock again: pip brings the runtime and the numpy that it is built for.",
        ) from error
    return interpreter  # type: ignore[no-any-return]  # published without type information
