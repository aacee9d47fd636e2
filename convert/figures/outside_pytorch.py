"""Makes LSTM encoders with PyTorch: state dicts, what they are put into, and ONNX exports.

    python convert/figures/outside_pytorch.py FOLDER

Writes safetensors and the exports of ``dynamo=True`` where their libraries are installed.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from outside_cases import INPUTS, LAST, SIZE, SPEAKERS, UNITS, Case, record
from torch import nn

VERSION = f"PyTorch {torch.__version__.partition('+')[0]}"


class Encoder(nn.Module):
    """LSTM, pooling, a dense layer, and what ``head`` puts after it."""

    def __init__(self, pool: str = "last", head: nn.Module | None = None, **lstm: Any) -> None:
        super().__init__()
        self.lstm = nn.LSTM(INPUTS, UNITS, 2, batch_first=True, **lstm)
        self.fc = nn.Linear(lstm.get("proj_size") or UNITS, SIZE)
        self.pool, self.head = pool, head or nn.Identity()
        self.weigher = nn.Linear(UNITS, 1) if pool == "attention" else None

    def embed(self, heard: torch.Tensor) -> torch.Tensor:
        """The embedding (B, SIZE) of steps (B, T, INPUTS)."""
        hidden, _ = self.lstm(heard)
        if self.weigher is not None:
            weights = torch.softmax(self.weigher(hidden), dim=1)
            return self.fc((weights * hidden).sum(dim=1))
        return self.fc(hidden[:, -1] if self.pool == "last" else hidden.mean(dim=1))

    def forward(self, heard: torch.Tensor) -> torch.Tensor:
        """What the head gives for it."""
        return self.head(self.embed(heard))


class Zoo:
    """The encoders, and the folder that they go to."""

    def __init__(self, folder: Path, steps: Any) -> None:
        torch.manual_seed(0)
        self.folder, self.steps = folder, torch.from_numpy(steps)
        self.plain, self.mean, self.attention = Encoder(), Encoder("mean"), Encoder("attention")
        self.classifier = Encoder(head=nn.Sequential(nn.ReLU(), nn.Linear(SIZE, SPEAKERS)))
        self.projected = Encoder(proj_size=32)
        self.normalized = Encoder(head=nn.BatchNorm1d(SIZE))
        self.normalized.head(torch.randn(50, SIZE) * 2 + 1)
        for one in vars(self).values():
            if isinstance(one, nn.Module):
                one.eval()

    def save(self, file: str, saved: Any, encoder: Encoder, what: str, *answers: str) -> Case:
        """Write what ``torch.save`` takes."""
        torch.save(saved, self.folder / file)
        return self.case(file, encoder, what, *answers)

    def export(self, file: str, encoder: Encoder, what: str, *answers: str, **how: Any) -> Case:
        """Write an ONNX export."""
        torch.onnx.export(encoder, (self.steps,), str(self.folder / file), **how)
        return self.case(file, encoder, f"ONNX, {what}", *answers)

    def case(self, file: str, encoder: Encoder, what: str, *answers: str) -> Case:
        """Write what the encoder gives, without the head of a classifier."""
        given = encoder.embed if encoder is self.classifier else encoder
        with torch.inference_mode():
            np.save(self.folder / f"{file}.npy", given(self.steps)[0].numpy())
        return Case(file, f"{VERSION}, {what}", answers)


def checkpoints(folder: Path, steps: Any) -> Iterator[Case]:
    """All of them."""
    zoo = Zoo(folder, steps)
    yield from state_dicts(zoo)
    yield from containers(zoo)
    yield from exports(zoo)


def state_dicts(zoo: Zoo) -> Iterator[Case]:
    """Of different encoders."""
    yield zoo.save("state.pt", zoo.plain.state_dict(), zoo.plain, "state dict", *LAST)
    state = zoo.classifier.state_dict()
    cut = ("--embedding", "fc", *LAST)
    yield zoo.save("classifier.pt", state, zoo.classifier, "state dict of a classifier", *cut)
    state = zoo.projected.state_dict()
    yield zoo.save("projected.pt", state, zoo.projected, "state dict with `proj_size`", *LAST)
    state = zoo.attention.state_dict()
    yield zoo.save("attention.pt", state, zoo.attention, "state dict with attention")
    order = ("--embedding", "fc", "--activation", "linear")
    order += ("--embedding", "head", "--activation", "linear", *LAST)
    state = zoo.normalized.state_dict()
    yield zoo.save("norm.pt", state, zoo.normalized, "state dict with BatchNorm", *order)


def containers(zoo: Zoo) -> Iterator[Case]:
    """Of one encoder."""
    plain, state = zoo.plain, zoo.plain.state_dict()
    trained = {f"net.{name}": one for name, one in state.items()}
    trained |= {"loss.w": torch.tensor(10.0), "loss.b": torch.tensor(-5.0)}
    optimizer = {"state": {0: {"step": torch.tensor(9.0)}}, "param_groups": []}
    whole = {"state_dict": trained, "optimizer_states": [optimizer]}
    yield zoo.save("last.ckpt", whole, plain, "Lightning with a GE2E loss", *LAST)
    whole = {"speech_embedder": state, "epoch": 3}
    yield zoo.save("ge2e.model", whole, plain, "nested `speech_embedder`, .model", *LAST)
    yield zoo.save("module.pt", plain, plain, "pickled module", *LAST)
    torch.jit.save(torch.jit.trace(plain, zoo.steps), zoo.folder / "script.pt")
    yield zoo.case("script.pt", plain, "TorchScript", *LAST)
    if importlib.util.find_spec("safetensors"):
        from safetensors.torch import save_file

        save_file(state, zoo.folder / "model.safetensors")
        yield zoo.case("model.safetensors", plain, "safetensors", *LAST)


def exports(zoo: Zoo) -> Iterator[Case]:
    """By both exporters of PyTorch."""
    for opset in (9, 11, 17):
        how = {"dynamo": False, "opset_version": opset}
        yield zoo.export(f"opset{opset}.onnx", zoo.plain, f"opset {opset}", **how)
    yield zoo.export("mean.onnx", zoo.mean, "opset 17, mean", dynamo=False)
    yield zoo.export("attention.onnx", zoo.attention, "opset 17, attention", dynamo=False)
    if not importlib.util.find_spec("onnxscript"):
        return
    yield zoo.export("dynamo.onnx", zoo.plain, "`dynamo=True`", dynamo=True)
    how = {"dynamo": True, "opset_version": 23}
    yield zoo.export("dynamo23.onnx", zoo.plain, "dynamo, opset 23", **how)
    yield zoo.export("dynamo_attention.onnx", zoo.attention, "dynamo, attention", dynamo=True)
    yield zoo.export("dynamo_norm.onnx", zoo.normalized, "dynamo, BatchNorm", dynamo=True)
    cut = ("--embedding", "fc")
    what = "dynamo, classifier"
    yield zoo.export("dynamo_classifier.onnx", zoo.classifier, what, *cut, dynamo=True)


if __name__ == "__main__":
    record(checkpoints)
