"""The batched network of Resemblyzer: layers by themselves, parts, and a training from it."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge_unlock.errors import ConfigError

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from edge_unlock_convert.training import resemblyzer  # noqa: E402
from edge_unlock_convert.training.objective import hint  # noqa: E402
from edge_unlock_convert.training.recipe import Network  # noqa: E402
from edge_unlock_convert.training.resemblyzer import HIDDEN, LAYERS, Resemblyzer  # noqa: E402
from edge_unlock_convert.training.student import Student  # noqa: E402


@pytest.fixture(scope="module")
def network() -> Resemblyzer:
    torch.manual_seed(1)
    return Resemblyzer().eval().requires_grad_(False)


def noise(rows: int, seconds: float) -> "torch.Tensor":
    torch.manual_seed(2)
    return 0.1 * torch.randn(rows, int(seconds * resemblyzer.RATE_HZ))


def test_layer_by_layer_is_the_whole(network: Resemblyzer) -> None:
    frames = network.frames(noise(2, 0.5))
    states = network.states(frames)
    assert [one.shape for one in states] == [(2, 48, HIDDEN)] * LAYERS
    torch.testing.assert_close(states[-1], network.lstm(frames)[0])


def test_quiet_speech_is_raised_and_loud_speech_is_not_lowered(network: Resemblyzer) -> None:
    loud = noise(1, 0.3)
    torch.testing.assert_close(network.frames(0.01 * loud), network.frames(0.001 * loud))
    torch.testing.assert_close(network.frames(2 * loud), 4 * network.frames(loud))


def test_a_long_utterance_is_the_mean_of_its_parts(network: Resemblyzer) -> None:
    samples = noise(1, 2.4)
    first, last = (network.embed(part) for part in (samples[:, : 159 * 160 + 400],) * 2)
    torch.testing.assert_close(first, last)
    whole = network.embed(samples)
    count = 1 + (samples.shape[1] - 400) // 160
    starts = [0, 77, count - 160]
    parts = [samples[:, 160 * start : 160 * (start + 159) + 400] for start in starts]
    level = samples.square().mean().sqrt()
    # loudness is that of the whole utterance
    assert level > resemblyzer.LOUDNESS
    expected = torch.stack([network.embed(part) for part in parts]).mean(0)
    torch.testing.assert_close(whole, torch.nn.functional.normalize(expected, dim=1))


def test_a_missing_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(resemblyzer.VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match=r"pretrained\.pt"):
        Resemblyzer.load()


def test_a_student_takes_the_layers_over_and_not_the_inputs(network: Resemblyzer) -> None:
    settings = Network(hidden=HIDDEN, layers=LAYERS)
    student = Student(120, settings, 8)
    inputs = student.lstm.weight_ih_l0.clone()
    student.take_over(network)
    assert torch.equal(student.lstm.weight_hh_l2, network.lstm.weight_hh_l2)
    assert torch.equal(student.lstm.weight_ih_l1, network.lstm.weight_ih_l1)
    assert torch.equal(student.lstm.weight_ih_l0, inputs)
    with pytest.raises(ConfigError, match="other layers"):
        Student(120, msgspec.structs.replace(settings, layers=2), 8).take_over(network)


def test_hints_count_what_is_speech_alone() -> None:
    hints = [torch.ones(2, 4, 3), 2 * torch.ones(2, 4, 3)]
    own = [one.clone() for one in hints]
    own[0][0, 3] = 100.0  # behind the end of the first row
    assert float(hint(own, hints, torch.tensor([3, 4]))) == 0
    own[1][1, 0] = 0.0  # one step of seven, wholly wrong, in one of two layers
    assert float(hint(own, hints, torch.tensor([3, 4]))) == pytest.approx(1 / 14)
    assert np.isfinite(float(hint([0 * one for one in hints], hints, torch.tensor([3, 4]))))
