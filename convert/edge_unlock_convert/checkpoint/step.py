"""One layer of a checkpoint, as every reader gives it: a name, and what it computes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.network import LstmLayer, Pooling

END_EARLIER = "Train the encoder without it, or end the network before it: --embedding LAYER."


@dataclass(frozen=True, eq=False)
class Lstm:
    """One LSTM layer."""

    layer: LstmLayer


@dataclass(frozen=True, eq=False)
class Affine:
    """``weights @ x + bias``: weights float32 (D, I), bias float32 (D,).

    ``part`` marks what is no layer of its own (a normalization, a projection): it is multiplied
    into the layer beside it, which is exact.
    """

    weights: Float32
    bias: Float32
    part: bool = False


@dataclass(frozen=True)
class Pool:
    """The steps become one."""

    how: Pooling


@dataclass(frozen=True)
class Plain:
    """Holds no weights. ``unit`` is the division by the embedding's own length; what is ``idle``
    leaves numbers as they are.
    """

    what: Literal["relu", "softmax", "unit", "idle"]


@dataclass(frozen=True)
class Refused:
    """Cannot be converted, for this reason; an error only when the network needs it."""

    reason: str
    hint: str = END_EARLIER


Form = Lstm | Affine | Pool | Plain | Refused


@dataclass(frozen=True, eq=False)
class Step:
    """A layer on the way from the input to an output.

    ``name`` is what the options call it, ``kind`` its class in the format it comes from.
    """

    name: str
    kind: str
    form: Form

    @property
    def shape(self) -> str:
        """Its size, for people: ``40 -> 64``; nothing where it has no weights."""
        match self.form:
            case Lstm(layer):
                return f"{layer.inputs} -> {layer.units}"
            case Affine(weights):
                return f"{weights.shape[1]} -> {len(weights)}"
            case _:
                return ""


Problem = tuple[str, str]
"""What keeps a checkpoint from being converted, and a hint what to do."""
Track = tuple[Step, ...]
"""The layers from the input to one output, in their order."""


@dataclass(frozen=True)
class Contents:
    """What a reader found in a checkpoint.

    ``tracks`` has one entry an output; ``others`` are layers that lead to none of them.
    ``problems`` says what keeps the checkpoint from being converted as it was asked for, each
    with a hint; ``notes`` what was assumed or left behind.
    """

    format: str
    tracks: tuple[Track, ...]
    others: Track = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def names_of(track: Sequence[Step]) -> list[str]:
    """The names of its layers."""
    return [step.name for step in track]


def end_candidates(track: Sequence[Step]) -> list[str]:
    """Names of the layers that ``--embedding`` can end a track at."""
    is_lstm = [isinstance(step.form, Lstm) for step in track]
    reachable = track[is_lstm.index(True) :] if any(is_lstm) else track
    layers = [step for step in reachable if isinstance(step.form, Lstm | Affine)]
    return list(dict.fromkeys(step.name for step in layers if not is_part(step)))


def is_part(step: Step) -> bool:
    """Whether it is no layer of its own."""
    return isinstance(step.form, Affine) and step.form.part
