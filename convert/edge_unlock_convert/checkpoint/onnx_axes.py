"""Which axis of a tensor in an ONNX graph is what, followed from the LSTM on.

An export turns axes around, and takes the last of one. Only on the right axis is that the last
step; on another it would be something else with the same operators.
"""

from typing import Literal

from edge_unlock_convert.errors import CheckpointError

Axis = Literal["time", "batch", "feature", "one", "layers"]
"""``one`` has length 1; ``layers`` has the states of several LSTM layers side by side."""
Layout = tuple[Axis, ...] | None
"""The axes of a tensor in their order; None where they are not known."""

STEPS: Layout = ("time", "one", "batch", "feature")
"""What an LSTM node gives: the hidden state of every step, by direction."""
STATE: Layout = ("one", "batch", "feature")
"""And its last hidden state."""
STEPS_BATCH_FIRST: Layout = ("batch", "time", "one", "feature")
STATE_BATCH_FIRST: Layout = ("batch", "one", "feature")
"""The same with layout=1."""


def place(layout: Layout, axis: int) -> int:
    """The axis counted from the front. Raises ``CheckpointError`` if it is not known."""
    if layout is None or not -len(layout) <= axis < len(layout):
        raise CheckpointError(
            "the model reshapes what the LSTM gives, so that its steps cannot be told apart",
            "Export the network alone: an LSTM stack, dense layers, and nothing else.",
        )
    return axis % len(layout)


def weigh(weights: Layout, steps: Layout) -> bool:
    """Whether one number a step lies beside all features of the step."""
    if weights is None or steps is None or weights[:-1] != steps[:-1]:
        return False
    return weights[-1] in ("one", "feature") and steps[-1] == "feature"


def permute(layout: Layout, order: list[int] | None) -> Layout:
    """After a Transpose."""
    if layout is None:
        return None
    order = order or list(range(len(layout)))[::-1]
    return tuple(layout[place(layout, axis)] for axis in order)


def without(layout: Layout, axis: int) -> Layout:
    """After one axis was taken away."""
    if layout is None:
        return None
    axis = place(layout, axis)
    return layout[:axis] + layout[axis + 1 :]


def shrunk(layout: Layout, axis: int) -> Layout:
    """After one axis became one long."""
    if layout is None:
        return None
    axis = place(layout, axis)
    return (*layout[:axis], "one", *layout[axis + 1 :])


def squeeze(layout: Layout, axes: list[int] | None, features: int | None) -> Layout:
    """After a Squeeze; a batch of one may be squeezed as well, so axes have to be named."""
    if layout is None or axes is None:
        return None
    gone = {place(layout, axis) for axis in axes}
    longer = {"time", "layers"} if features == 1 else {"time", "layers", "feature"}
    if any(layout[axis] in longer for axis in gone):
        raise CheckpointError(
            "the model squeezes an axis that is longer than one", "Export the model again."
        )
    return tuple(axis for position, axis in enumerate(layout) if position not in gone)


def unsqueeze(layout: Layout, axes: list[int]) -> Layout:
    """After an Unsqueeze."""
    if layout is None:
        return None
    made = list(layout)
    rank = len(layout) + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        made.insert(axis, "one")
    return tuple(made)


def reshape(layout: Layout, rank: int | None) -> Layout:
    """After a Reshape to a tensor of so many axes; exporters use it to take away directions."""
    if layout is None or "layers" in layout:
        return None
    kept = tuple(axis for axis in layout if axis != "one")
    if len(kept) == rank or (rank is None and len(kept) == len(layout) - 1):
        return kept
    if rank is not None and len(kept) == rank + 1 and kept[:-1] == ("batch",):
        return kept[1:]
    return None
