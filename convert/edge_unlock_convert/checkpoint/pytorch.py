"""PyTorch state dicts: which of their modules make the encoder, and in what order.

A state dict has tensors, and no word of how they are put together. What cannot be told from
names and shapes is asked for, all at once.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import torch

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.checkpoint import torch_file
from edge_unlock_convert.checkpoint.options import Options
from edge_unlock_convert.checkpoint.step import (
    Affine,
    Contents,
    Lstm,
    Plain,
    Problem,
    Refused,
    Step,
    Track,
)
from edge_unlock_convert.checkpoint.torch_modules import (
    BATCH_NORM_EPSILON,
    Module,
    modules,
)
from edge_unlock_convert.errors import CheckpointError

LOSS_TENSOR = re.compile(
    r"(^|\.)(similarity_(weight|bias)|num_batches_tracked|(\w*loss\w*|criterion)\..+)$"
)
"""Of training alone: a loss stands after the embedding; the others say how batches went."""


def read(path: Path, options: Options, members: list[str]) -> Contents:
    """The layers of a state dict. Raises ``CheckpointError`` when the file cannot be read."""
    state = torch_file.read(path, members)
    choice = _Choice(state.tensors, options)
    choice.notes += state.notes
    return choice.contents(state.format)


class _Choice:
    """Modules become a track; what is unclear becomes a problem."""

    def __init__(self, state: dict[str, torch.Tensor], options: Options) -> None:
        self._options = options
        self.notes: list[str] = []
        self._problems: list[Problem] = []
        kept = dict(state)
        self._drop(kept)
        training = [name for name in kept if LOSS_TENSOR.search(name)]
        if loss := [name for name in training if "num_batches" not in name]:
            self.notes.append(f"left behind, as parts of the loss: {', '.join(loss)}")
        weights = {name: one for name, one in kept.items() if name not in training}
        self._modules = modules(self._numbers(weights))
        self._steps: dict[str, list[Step]] = {}
        for module in self._modules.values():
            try:
                self._steps[module.name] = module.steps()
            except CheckpointError as error:
                self._problems.append((str(error), error.hint or ""))

    def _numbers(self, kept: Mapping[str, torch.Tensor]) -> dict[str, Float32]:
        """The tensors as arrays; what is no array of floats cannot be a float network's."""
        for name, one in kept.items():
            if not one.is_floating_point() or one.layout != torch.strided:
                self._problems.append(
                    (
                        f"{name} holds {_dtype(one)} numbers, which are no weights of a float "
                        "network",
                        f"Convert the float checkpoint; or --drop {name}, if nothing needs it.",
                    )
                )
        return {
            name: one.detach().to(torch.float32).numpy()
            for name, one in kept.items()
            if one.layout == torch.strided and not one.is_complex()
        }

    def _drop(self, kept: dict[str, torch.Tensor]) -> None:
        for asked in self._options.drop:
            names = [name for name in kept if name == asked or name.startswith(f"{asked}.")]
            if not names:
                self._problems.append(
                    (f"the state dict has no tensor {asked!r}", f"It has: {', '.join(kept)}.")
                )
            for name in names:
                del kept[name]

    def contents(self, format_name: str) -> Contents:
        """What was found; with problems, all layers are given as ``others``."""
        everything = tuple(step for steps in self._steps.values() for step in steps)
        stack = self._lstm_names()
        if self._problems or not stack:
            return Contents(format_name, (), everything, tuple(self._problems), tuple(self.notes))
        base = tuple(step for name in stack for step in self._steps[name])
        if refused := [step.form for step in base if isinstance(step.form, Refused)]:
            # what follows has no say: the sizes of such a layer are not known
            self._problems += [(one.reason, one.hint) for one in refused]
            return Contents(format_name, (), everything, tuple(self._problems), tuple(self.notes))
        self.notes += _projection_note(base)
        heads = self._heads(stack)
        track, used = self._chain(base, stack, heads)
        if any(step.kind == "BatchNorm" for step in track):
            self.notes.append(
                f"assumed: BatchNorm has PyTorch's own epsilon, {BATCH_NORM_EPSILON:g}"
            )
        tracks = [track]
        if heads.attention:
            tracks.append((*base, *self._steps[heads.attention]))
            used.append(heads.attention)
        self._check_left(track, used)
        unused = [steps for name, steps in self._steps.items() if name not in used]
        others = tuple(step for steps in unused for step in steps)
        return Contents(
            format_name, tuple(tracks), others, tuple(self._problems), tuple(self.notes)
        )

    def _lstm_names(self) -> list[str]:
        """The modules from the input to the last LSTM."""
        found = [module for module in self._modules.values() if module.is_lstm]
        names = [module.name for module in found]
        if not found:
            self._problems.append(
                ("the checkpoint holds no LSTM", "Only LSTM encoders can be converted.")
            )
        elif self._options.lstm:
            unknown = [name for name in self._options.lstm if name not in self._modules]
            if unknown:
                self._problems.append(
                    (
                        f"the checkpoint has no module {', '.join(unknown)}",
                        f"Its LSTM modules are: {', '.join(names)}.",
                    )
                )
                return []
            return self._options.lstm
        elif len(found) > 1:
            if not self._problems and self._is_numbered(found):
                self.notes.append(f"assumed: the LSTM modules follow each other: {_joined(names)}")
                return names
            self._problems.append(
                (
                    f"the checkpoint holds several LSTM modules: {', '.join(names)}",
                    "Name those of the encoder, first to last, with one --lstm each.",
                )
            )
            return []
        return names

    def _is_numbered(self, found: Sequence[Module]) -> bool:
        """Whether names differ in a rising number alone, and each takes what the last one gives."""
        if len({re.sub(r"\d+", "#", module.name) for module in found}) > 1:
            return False
        numbers = [[int(one) for one in re.findall(r"\d+", module.name)] for module in found]
        layers = [
            step.form.layer
            for module in found
            for step in self._steps[module.name]
            if isinstance(step.form, Lstm)
        ]
        fits = all(after.inputs == before.units for before, after in pairwise(layers))
        return numbers == sorted(numbers) and fits and len(layers) >= len(found)

    def _heads(self, stack: list[str]) -> "_Heads":
        options = self._options
        if options.attention or options.embedding:
            wanted = [*options.embedding, *filter(None, [options.attention])]
            unknown = [name for name in wanted if name not in self._modules]
            if unknown:
                self._problems.append(
                    (
                        f"the checkpoint has no layer {', '.join(unknown)}",
                        f"Its layers are: {', '.join(filter(None, self._modules))}.",
                    )
                )
                return _Heads([], None)
            # --embedding lstm: what the LSTM gives is the embedding
            chain = [name for name in options.embedding if name not in stack]
            return _Heads(chain, options.attention)
        dense = [m for m in self._modules.values() if m.is_dense and m.name not in stack]
        attention = None
        if options.pooling in (None, "attention"):
            attention = next((m for m in dense if len(m.tensors["weight"]) == 1), None)
        rest = [m for m in dense if m is not attention]
        norms = [m for m in self._modules.values() if m.is_norm and m.name not in stack]
        if len(rest) > 1:
            self._problems.append(
                (
                    f"the checkpoint holds several dense layers: {_shapes(rest)}",
                    "Name those from the last LSTM to the embedding, first to last, with one "
                    "--embedding each (a layer before an LSTM with --lstm), and what follows each "
                    "with --activation relu or linear.",
                )
            )
            rest = []
        elif norms:
            names = [module.name for module in (*rest, *norms)]
            self._problems.append(
                (
                    f"a state dict does not say where its normalizations stand: {_shapes(norms)}",
                    "Name all layers in their order: before an LSTM with --lstm, after it with "
                    f"--embedding and --activation ({', '.join(names)}).",
                )
            )
            rest = []
        elif rest and rest[0].inputs != self._size(stack):
            self._problems.append(
                (
                    f"the dense layer {_shapes(rest)} does not read what the LSTM gives, "
                    f"{self._size(stack)} numbers",
                    "Name all layers in their order: before an LSTM with --lstm, after it with "
                    "--embedding.",
                )
            )
            rest = []
        return _Heads([module.name for module in rest], attention.name if attention else None)

    def _size(self, stack: list[str]) -> int:
        """Of what the last module before the heads gives."""
        last = self._steps[stack[-1]][-1].form
        return last.layer.units if isinstance(last, Lstm) else len(getattr(last, "bias", ()))

    def _chain(self, base: Track, stack: list[str], heads: "_Heads") -> tuple[Track, list[str]]:
        """The track to the embedding, and the modules on it."""
        activations = list(self._options.activation)
        if not activations and len(heads.chain) == 1:
            activations = ["linear"]
            self.notes.append(
                f"assumed: nothing follows {heads.chain[0]} (a state dict does not say; with a "
                "ReLU: --activation relu)"
            )
        if len(activations) != len(heads.chain):
            options = " ".join(
                f"--embedding {name} --activation {'relu' if name != heads.chain[-1] else 'linear'}"
                for name in heads.chain
            )
            self._problems.append(
                (
                    f"a state dict does not say what follows its layers, and {len(activations)} "
                    f"--activation were given for {len(heads.chain)} layers "
                    f"({', '.join(heads.chain)})",
                    f"Give one for each, linear where nothing follows, as in {options}."
                    if options
                    else "Leave --activation out.",
                )
            )
        track = list(base)
        for name, activation in zip(heads.chain, activations, strict=False):
            track += self._steps[name]
            if activation == "relu":
                track.append(Step(name, "ReLU", Plain("relu")))
        return tuple(track), [*stack, *heads.chain]

    def _check_left(self, track: Track, used: list[str]) -> None:
        """Layers that nothing reads are an error, but for heads that lead on from the embedding."""
        left = [module for name, module in self._modules.items() if name not in used]
        behind = self._behind(track, left) if self._options.embedding else []
        if behind:
            self.notes.append(f"left behind, after the embedding: {_shapes(behind)}")
        tensors = [
            f"{module.name}.{name}" if module.name else name
            for module in left
            if module not in behind
            for name in module.tensors
        ]
        if tensors and not self._problems:
            refused = [
                step.form
                for module in left
                if module not in behind and module.name
                for step in self._steps[module.name]
                if isinstance(step.form, Refused)
            ]
            self._problems += [(form.reason, form.hint) for form in refused]
            self._problems.append(
                (
                    f"the state dict holds tensors that no layer uses: {', '.join(tensors)}",
                    "Name layers before the LSTM with --lstm, those after it with --embedding; "
                    "only if the network does not need a tensor or module, name it with --drop.",
                )
            )

    def _behind(self, track: Track, left: Sequence[Module]) -> list[Module]:
        """Dense layers that cannot lie between the LSTM and the embedding, by their sizes."""
        layers = [step.form.layer for step in track if isinstance(step.form, Lstm)]
        sizes = {layers[0].inputs, *(layer.units for layer in layers)}
        sizes |= {len(step.form.bias) for step in track if isinstance(step.form, Affine)}
        dense = [
            module
            for module in left
            if module.is_dense
            and len(module.tensors["weight"]) > 1
            # the table of tokens of a network that reads text looks so, and stands before
            and ("bias" in module.tensors or module.inputs != layers[0].inputs)
        ]
        shapes = {m.name: m.tensors["weight"].shape for m in dense}
        while True:
            # what nothing on the way can read, stands at an end
            ends = [
                name
                for name, (outputs, _) in shapes.items()
                if outputs not in sizes and all(outputs != inputs for _, inputs in shapes.values())
            ]
            if not ends:
                break
            for name in ends:
                del shapes[name]
        return [module for module in dense if module.name not in shapes]


class _Heads:
    """The modules after the last LSTM: the chain to the embedding, and what weighs the steps."""

    def __init__(self, chain: list[str], attention: str | None) -> None:
        self.chain, self.attention = chain, attention


def _projection_note(base: Track) -> list[str]:
    """What it costs that the device has no projected LSTM."""
    before = after = size = 0
    for step, following in zip(base, (*base[1:], None), strict=True):
        if not isinstance(step.form, Lstm):
            continue
        layer, read = step.form.layer, size or step.form.layer.inputs
        is_projected = following is not None and following.kind == "projection"
        outputs = len(following.form.bias) if is_projected else 0  # type: ignore[union-attr]
        recurrent = 4 * layer.units * (outputs or layer.units) + outputs * layer.units
        before += layer.input_weights.size + recurrent
        after += 4 * layer.units * (read + layer.units)
        size = layer.units if is_projected else 0
    if all(step.kind != "projection" for step in base):
        return []
    return [
        f"the projections were folded into the weights that read them: {after:,} multiplications "
        f"a step instead of {before:,}, with the same result"
    ]


def _dtype(tensor: torch.Tensor) -> str:
    name = str(tensor.dtype).removeprefix("torch.")
    return name if tensor.layout == torch.strided else f"sparse {name}"


def _joined(names: Sequence[str]) -> str:
    return ", then ".join(names)


def _shapes(found: Sequence[Module]) -> str:
    texts = []
    for module in found:
        weight = module.tensors.get("weight")
        sized = weight is not None and weight.ndim == 2 and module.is_dense
        texts.append(
            f"{module.name} ({weight.shape[1]} -> {weight.shape[0]})"
            if sized and weight is not None
            else module.name
        )
    return ", ".join(texts)
