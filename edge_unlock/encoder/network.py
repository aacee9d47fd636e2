"""The recurrent network of a package, run one step at a time by the TFLite runtime.

Its state lies in one of two places. A network with fused LSTM operators keeps it in the
interpreter. One of single operators takes its states as further inputs, and gives those that
follow them as further outputs in the same order: they are carried over here.
"""

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

        Raises ``ModelError`` when it does not run, or does not give an embedding of so many
        numbers and, with ``attention``, one logit.
        """
        try:
            self._interpreter = interpreter(model)
            inputs = [Tensor(detail) for detail in self._interpreter.get_input_details()]
            if inputs and inputs[0].shape != (1, 1, width):
                self._interpreter.resize_tensor_input(inputs[0].index, [1, 1, width])
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"the network does not run: {reason}", "Convert it again.") from error
        source, states = inputs[:1], inputs[1:]
        outputs = [Tensor(detail) for detail in self._interpreter.get_output_details()]
        first_state = max(0, len(outputs) - len(states))
        following = outputs[first_state:]
        heads = {head.shape[-1]: head for head in outputs[:first_state]}
        kept = [state.layout for state in states] == [state.layout for state in following]
        if not source or not kept or embedding_size not in heads:
            raise ModelError(
                "the network's inputs or outputs are not those of its manifest",
                "Convert it again.",
            )
        if attention and 1 not in heads:
            raise ModelError("the network has no attention output", "Convert it again.")
        self._source, self._embedding = source[0], heads[embedding_size]
        self._logit = heads[1] if attention else None
        self._states = list(zip(states, following, strict=True))
        self.reset()

    def reset(self) -> None:
        """Begin a new utterance."""
        self._interpreter.reset_all_variables()
        for state, _ in self._states:
            self._interpreter.set_tensor(state.index, state.zeros())

    def step(self, features: Float32) -> Step:
        """Take the features (F,) of the next step."""
        run = self._interpreter
        run.set_tensor(self._source.index, self._source.quantize(features)[None, None])
        run.invoke()
        for state, following in self._states:
            run.set_tensor(state.index, run.get_tensor(following.index))
        embedding = self._embedding.dequantize(run.get_tensor(self._embedding.index)).reshape(-1)
        if self._logit is None:
            return Step(embedding, 0.0)
        logit = self._logit.dequantize(run.get_tensor(self._logit.index)).item()
        return Step(embedding, float(logit))

    @property
    def states(self) -> tuple[Float32, ...]:
        """The states (H,) that are carried over, in their order; none of a fused LSTM."""
        get = self._interpreter.get_tensor
        return tuple(
            after.dequantize(get(after.index)).reshape(-1).astype(np.float32)
            for _, after in self._states
        )


class Tensor:
    """A tensor of an interpreter: its place, and what its integers stand for, if it has any."""

    def __init__(self, detail: dict[str, Any]) -> None:
        self.index: int = detail["index"]
        self.shape = tuple(map(int, detail["shape"]))
        self._scale, self._zero_point = detail["quantization"]
        self._dtype = detail["dtype"]

    @property
    def layout(self) -> tuple[Any, ...]:
        """What two tensors have in common of which one may be put into the other."""
        return self.shape, self._dtype, self._scale, self._zero_point

    def zeros(self) -> NDArray[Any]:
        """What it holds when all of its numbers are 0."""
        return np.full(self.shape, self._zero_point, self._dtype)

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


def interpreter(model: bytes, **options: Any) -> Any:
    """An interpreter for a model's bytes, ready to run, on one core: a step is too small to share.

    ``options`` are further ones of the runtime. Raises ``ValueError`` or ``RuntimeError`` as the
    runtime does, and ``ModelError`` where there is none.
    """
    library = runtime()
    kernels = library.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    if library.__name__.startswith(LITERT):
        kernels = library.OpResolverType.BUILTIN
    with quiet_stderr():
        made = library.Interpreter(
            model_content=model, num_threads=1, experimental_op_resolver_type=kernels, **options
        )
        made.allocate_tensors()
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
