"""What is in a checkpoint, what would be made of it, what is assumed, and what is missing."""

from pathlib import Path

import msgspec

from edge_unlock_convert.checkpoint.assembly import POOLING_UNKNOWN, Examined, examine
from edge_unlock_convert.checkpoint.options import Options
from edge_unlock_convert.checkpoint.step import (
    Contents,
    Lstm,
    Plain,
    Pool,
    Refused,
    Step,
    is_part,
)

PLAIN_USES = {
    "idle": "does nothing after training",
    "unit": "done by the device: every embedding gets length 1",
}


class Layer(msgspec.Struct, frozen=True):
    """One layer: what the options call it, its class, its shape, and what becomes of it."""

    name: str
    kind: str
    shape: str
    use: str


class Missing(msgspec.Struct, frozen=True):
    """What keeps the checkpoint from being converted, and what to do."""

    what: str
    hint: str


class Shape(msgspec.Struct, frozen=True):
    """The network that would be converted; ``multiplications`` are those of a step."""

    text: str
    input_size: int
    embedding_size: int
    pooling: str | None
    multiplications: int
    parameters: int


class Description(msgspec.Struct, frozen=True):
    """A checkpoint at a glance. ``network`` is None where something is ``missing``."""

    format: str
    layers: tuple[Layer, ...]
    network: Shape | None
    assumed: tuple[str, ...]
    missing: tuple[Missing, ...]

    def to_json(self) -> bytes:
        """For another program."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def rows(self) -> list[tuple[str, str]]:
        """For people: all but the layers."""
        rows = [("format", self.format)]
        if self.network:
            rows += [
                ("network", self.network.text),
                ("inputs a step", f"{self.network.input_size}"),
                ("pooling", self.network.pooling or "not said"),
                ("multiplications a step", f"{self.network.multiplications:,}"),
                ("parameters", f"{self.network.parameters:,}"),
            ]
        rows += [("assumed", one.removeprefix("assumed: ")) for one in self.assumed]
        rows += [("missing", f"{one.what}. {one.hint}") for one in self.missing]
        return rows if self.missing else [*rows, ("missing", "nothing")]


def describe_here(path: Path, options: Options) -> Description:
    """What is found in a file. Raises ``CheckpointError`` when it cannot be read at all."""
    from edge_unlock_convert.checkpoint import contents

    found = contents(path, options)
    examined = examine(found, options)
    return Description(
        format=found.format,
        layers=_layers(found, examined),
        network=_shape(examined, options),
        assumed=examined.notes,
        missing=_missing(examined, options),
    )


def _missing(examined: Examined, options: Options) -> tuple[Missing, ...]:
    problems = dict.fromkeys(examined.problems)
    network = examined.network
    if network and not (network.pooling or network.attention or options.pooling):
        problems[POOLING_UNKNOWN] = None
    return tuple(Missing(what, hint) for what, hint in problems)


def _shape(examined: Examined, options: Options) -> Shape | None:
    network = examined.network
    if network is None:
        return None
    return Shape(
        text=network.shape,
        input_size=network.input_size,
        embedding_size=network.embedding_size,
        pooling="attention" if network.attention else network.pooling or options.pooling,
        multiplications=network.macs,
        parameters=network.parameters,
    )


def _layers(contents: Contents, examined: Examined) -> tuple[Layer, ...]:
    steps = dict.fromkeys([step for track in contents.tracks for step in track])
    steps |= dict.fromkeys([*examined.kept, *contents.others])
    behind = "left behind" if examined.network else "not decided"
    return tuple(
        Layer(
            step.name,
            step.kind,
            step.shape,
            _use(step, behind if step not in examined.kept else ""),
        )
        for step in steps
    )


def _use(step: Step, instead: str) -> str:
    if isinstance(step.form, Refused):
        return f"cannot be converted: {step.form.reason}"
    if instead:
        return instead
    match step.form:
        case Pool(how):
            return f"pooling: {how}"
        case Plain(what):
            return PLAIN_USES.get(what, f"activation: {what}")
        case Lstm():
            return "LSTM layer"
    return "multiplied into the layer beside it" if is_part(step) else "dense layer"
