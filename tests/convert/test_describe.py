"""``describe``: what is in a checkpoint, what is assumed of it, and all that is missing."""

import json

import pytest
from click.testing import CliRunner

from edge_unlock_convert.cli import main

torch = pytest.importorskip("torch")


def run(*arguments):
    return CliRunner().invoke(main, ["describe", *map(str, arguments)])


def described(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def classifier(tmp_path):
    """An encoder with the head that it was trained with."""
    lstm, fc, head = torch.nn.LSTM(80, 16, 2), torch.nn.Linear(16, 12), torch.nn.Linear(12, 30)
    modules = {"lstm": lstm, "fc": fc, "speakers": head}
    path = tmp_path / "encoder.pt"
    torch.save({f"{n}.{k}": v for n, m in modules.items() for k, v in m.state_dict().items()}, path)
    return path


def test_layers_and_all_that_is_missing(classifier):
    found = described(classifier)
    layers = [(one["name"], one["shape"], one["use"]) for one in found["layers"]]
    assert layers == [
        ("lstm", "80 -> 16", "not decided"),
        ("lstm", "16 -> 16", "not decided"),
        ("fc", "16 -> 12", "not decided"),
        ("speakers", "12 -> 30", "not decided"),
    ]
    assert found["network"] is None
    hints = [one["hint"] for one in found["missing"]]
    assert len(hints) == 2
    assert "--embedding" in hints[0]
    assert "--pooling" in hints[1]


def test_the_network_that_the_answers_make(classifier):
    answers = ("--embedding", "fc", "--activation", "relu", "--pooling", "mean")
    found = described(classifier, *answers)
    assert found["missing"] == []
    assert found["network"] == {
        "text": "2x16 LSTM, 12-dimensional embedding",
        "input_size": 80,
        "embedding_size": 12,
        "pooling": "mean",
        "multiplications": 4 * 16 * (80 + 16 + 16 + 16) + 12 * 16,
        "parameters": 4 * 16 * (80 + 16 + 16 + 16 + 2) + 12 * 17,
    }
    uses = {one["name"]: one["use"] for one in found["layers"]}
    assert uses == {"lstm": "LSTM layer", "fc": "activation: relu", "speakers": "left behind"}


def test_the_front_end_that_is_assumed_is_said(classifier):
    answers = ("--embedding", "fc", "--activation", "relu", "--pooling", "mean")
    assumed = " ".join(described(classifier, *answers)["assumed"])
    for words in (
        "40 MFCC of 40 mel filters from 20 to 8000 Hz",
        "windows of 25 ms every 10 ms",
        "pre-emphasis 0.97",
        "a running mean is subtracted",
        "frames in a step: 2",
    ):
        assert words in assumed
    missing = described(classifier, *answers, "--coefficients", 13)["missing"]
    assert "frames of 13 coefficients" in missing[0]["what"]


def test_a_front_end_beside_the_checkpoint_is_no_assumption(classifier):
    (classifier.parent / "front_end.json").write_text(
        json.dumps(
            {
                "features": {"coefficients": 20},
                "normalization": {"mean": [0] * 20, "deviation": [1] * 20, "prior_frames": 100},
                "encoder": {"frames_stacked": 2, "embedding_size": 12, "pooling": "last"},
            }
        )
    )
    found = described(classifier, "--embedding", "fc", "--activation", "relu")
    assert not any("MFCC" in one for one in found["assumed"])
    assert found["network"]["pooling"] == "last"
    assert [one["what"] for one in found["missing"]] == ["the front end gives 40 numbers a step"]


def test_as_a_table(classifier):
    lines = run(classifier, "--pooling", "last").stdout
    for words in ("layer", "80 -> 16", "not decided", "assumed", "pre-emphasis", "missing"):
        assert words in lines
    found = run(classifier, "--pooling", "last", "--embedding", "lstm")
    assert "nothing" in found.stdout


def test_what_cannot_be_converted_is_in_the_table(tmp_path):
    path = tmp_path / "encoder.pt"
    state = torch.nn.LSTM(40, 8, bidirectional=True).state_dict()
    torch.save({f"lstm.{name}": one for name, one in state.items()}, path)
    found = described(path)
    assert found["layers"][0]["use"] == "cannot be converted: the LSTM is bidirectional"
    assert "one direction" in found["missing"][0]["hint"]


def test_a_damaged_file_is_an_error(classifier):
    classifier.write_bytes(classifier.read_bytes()[:-500])
    result = run(classifier)
    assert result.exit_code == 1
    assert "damaged" in result.stderr
    assert "Traceback" not in result.output


def test_errors_of_quantize_point_to_it(classifier, speech, tmp_path):
    arguments = ["quantize", classifier, "--out", tmp_path / "out", "--speech", speech]
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 1
    assert "edge-unlock-convert describe CHECKPOINT" in result.stderr
    for words in ("several dense layers", "how its steps become one embedding"):
        assert words in result.stderr
