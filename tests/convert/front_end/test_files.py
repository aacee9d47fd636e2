"""``--front-end``: by name, by file, and what is said of a wrong one."""

import json

import pytest

from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.front_end import READY, Description, find_front_end, read_front_end


@pytest.fixture
def write(tmp_path):
    def write(**fields):
        path = tmp_path / "own.json"
        path.write_text(json.dumps(fields))
        return path

    return write


def test_by_name(tmp_path):
    assert find_front_end(tmp_path / "x.pt", "kaldi-mfcc") is READY["kaldi-mfcc"]
    assert find_front_end(tmp_path / "x.pt", None) is None


def test_unknown_name_lists_the_ready_ones(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        find_front_end(tmp_path / "x.pt", "kaldi")
    assert "kaldi-mfcc" in caught.value.hint


def test_like_takes_all_else_from_a_ready_one(write, tmp_path):
    found = find_front_end(tmp_path / "x.pt", str(write(like="kaldi-log-mel", filters=80)))
    assert isinstance(found, Description)
    assert (found.filters, found.window, found.size) == (80, "povey", 80)


MFCC = {"kind": "mfcc", "coefficients": 13}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "plp"}, "$.kind"),
        ({"kind": "mfcc"}, "`coefficients`"),
        ({"kind": "log-mel", "hop": 160}, "`hop`"),
        ({"kind": "log-mel", "hop_samples": "10 ms"}, "$.hop_samples"),
        ({"kind": "log-mel", "filters": 0}, "$.filters"),
        ({"kind": "log-mel", "window_samples": 800}, "`window_samples`"),
        ({"kind": "log-mel", "high_hz": 9000}, "`high_hz`"),
        ({"kind": "log-mel", "low_hz": 8000}, "`low_hz`"),
        ({"kind": "log-mel", "lifter": 22}, "`lifter`"),
        ({"kind": "log-mel", "energy": "samples"}, "`energy`"),
        (MFCC | {"filters": 12}, "`coefficients`"),
        (MFCC | {"normalization": "statistics", "deviation": [1] * 13}, "`mean`"),
        (MFCC | {"normalization": "statistics", "mean": [0] * 12, "deviation": [1] * 13}, "`mean`"),
        (MFCC | {"mean": [0] * 13}, "`mean`"),
        ({"like": "htk"}, "`like`"),
        ({"features": {"window": 3}}, "`window`"),
        ({"features": {}, "normalization": {"mean": [0.0]}}, "$.normalization"),
    ],
)
def test_the_error_names_the_field(write, tmp_path, fields, field):
    with pytest.raises(CheckpointError, match="is no front end") as caught:
        find_front_end(tmp_path / "x.pt", str(write(**fields)))
    assert field in str(caught.value)


def test_no_object(tmp_path):
    (tmp_path / "own.json").write_bytes(b"\xff[]")
    with pytest.raises(CheckpointError, match="is no front end"):
        find_front_end(tmp_path / "x.pt", str(tmp_path / "own.json"))


def test_a_description_is_no_front_end_of_training(write):
    with pytest.raises(CheckpointError, match="another origin"):
        read_front_end(write(**MFCC))


def test_a_file_nested_beyond_all_bounds_is_refused(tmp_path):
    path = tmp_path / "deep.json"
    path.write_text('{"a":' * 50_000)
    with pytest.raises(CheckpointError, match="no front end"):
        find_front_end(tmp_path / "x.pt", str(path))
