"""The state dict in a file: containers as training scripts, TorchScript and others write them."""

import os

import numpy as np
import pytest

from tests.convert.conftest import assert_same

torch = pytest.importorskip("torch")

from edge_unlock_convert.checkpoint import Options, read, read_here  # noqa: E402
from edge_unlock_convert.errors import CheckpointError  # noqa: E402


@pytest.mark.parametrize(
    "nest",
    [
        lambda state: {"speech_embedder": state, "step": 7},
        lambda state: {"net": {"encoder": state}, "optimizer": {"state": {0: torch.ones(3)}}},
        lambda state: {"model": state, "ema": {"decay": 0.9}},
        lambda state: {**state, "epoch": 3},
        lambda state: {"discriminator": {"fc.weight": torch.ones(2, 2)}, "encoder": state},
        lambda state: {"state_dict": {f"net.{n}": one for n, one in state.items()}, "ema": state},
    ],
    ids=[
        "by its name",
        "two deep",
        "beside numbers",
        "among numbers",
        "beside another network",
        "with its mean",
    ],
)
@pytest.mark.parametrize("name", ["encoder.pt", "encoder.model", "encoder.tar"])
def test_a_nested_state_dict_is_found(network, inputs, state_dict, tmp_path, nest, name):
    torch.save(nest(state_dict), tmp_path / name)
    options = Options()
    if "net.lstm.weight_ih_l0" in nest(state_dict).get("state_dict", {}):
        options = Options(embedding=["net.embedding"], attention="net.attention")
    assert_same(read_here(tmp_path / name, options), network, inputs)


def test_several_networks_are_asked_for(state_dict, tmp_path):
    torch.save({"student": state_dict, "teacher": state_dict}, tmp_path / "both.pt")
    with pytest.raises(
        CheckpointError, match=r"several .* with an LSTM: student, teacher"
    ) as caught:
        read_here(tmp_path / "both.pt", Options())
    assert "Save the one" in caught.value.hint


def test_safetensors(network, inputs, state_dict, tmp_path):
    save_file = pytest.importorskip("safetensors.torch").save_file
    path = tmp_path / "model.safetensors"
    save_file({f"module.{name}": one for name, one in state_dict.items()}, path)
    assert_same(read_here(path, Options()), network, inputs)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        read_here(path, Options())


class Encoder(torch.nn.Module):
    """As people write one."""

    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(10, 8, 2, batch_first=True)
        self.fc = torch.nn.Linear(8, 4)

    def forward(self, steps):
        return self.fc(self.lstm(steps)[0])


@pytest.fixture
def encoder():
    torch.manual_seed(3)
    return Encoder().eval()


def assert_gives_what(encoder, path):
    from edge_unlock_convert.network import run

    steps = torch.randn(1, 12, 10)
    found = next(iter(run(read_here(path, Options()), [steps[0].numpy()]))).embedding
    np.testing.assert_allclose(found, encoder(steps)[0].detach().numpy(), atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_read_and_not_run(encoder, tmp_path):
    path = tmp_path / "script.pt"
    torch.jit.save(torch.jit.script(encoder), path)
    assert_gives_what(encoder, path)


@pytest.mark.filterwarnings("ignore")
def test_a_pickled_module_gives_its_tensors_alone(encoder, tmp_path):
    path = tmp_path / "module.pt"
    torch.save(encoder, path)
    assert_gives_what(encoder, path)
    notes = " ".join(read_here(path, Options()).notes)
    assert "were not loaded, its tensors were read" in notes


@pytest.mark.filterwarnings("ignore")
def test_a_state_dict_beside_python_objects(encoder, tmp_path):
    from argparse import Namespace

    path = tmp_path / "trainer.ckpt"
    torch.save({"state_dict": encoder.state_dict(), "args": Namespace(lr=0.1)}, path)
    assert_gives_what(encoder, path)


@pytest.mark.filterwarnings("ignore")
def test_quantized_networks_are_told_apart(encoder, tmp_path):
    path = tmp_path / "quantized.pt"
    kinds = {torch.nn.LSTM, torch.nn.Linear}
    made = torch.ao.quantization.quantize_dynamic(encoder, kinds, dtype=torch.qint8)
    torch.save(made.state_dict(), path)
    with pytest.raises(CheckpointError, match="is a quantized network") as caught:
        read_here(path, Options())
    assert "float checkpoint" in caught.value.hint


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(encoder, tmp_path, dtype):
    path = tmp_path / "half.pt"
    torch.save(encoder.to(dtype).state_dict(), path)
    assert_gives_what(encoder.float(), path)


def test_a_directory_of_another_project_names_the_files_in_it(tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=r"neither student\.pt nor a SavedModel") as caught:
        read_here(tmp_path, Options())
    assert caught.value.hint == "Name the file in it: model.safetensors."


def test_a_link_is_read_by_its_own_name(checkpoint, tmp_path):
    """As caches keep files: the link has the suffix, what it leads to is named by its hash."""
    from safetensors.torch import save_file

    save_file(torch.load(checkpoint), tmp_path / "0f3a")
    link = tmp_path / "model.safetensors"
    link.symlink_to("0f3a")
    read(link, Options())


def test_a_pipe_is_no_file(tmp_path):
    path = tmp_path / "pipe.pt"
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match=r"pipe\.pt is no file"):
        read_here(path, Options())


def test_a_link_to_itself_is_no_file(tmp_path):
    path = tmp_path / "loop.pt"
    path.symlink_to(path.name)
    with pytest.raises(CheckpointError, match=r"loop\.pt: Too many levels"):
        read(path, Options())
