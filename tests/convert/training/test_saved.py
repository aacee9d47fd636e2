"""The directory of a training: whole or not at all, and nothing but tensors."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_unlock.encoder.features import FeatureSpec, Normalization
from edge_unlock.encoder.package import EncoderSpec
from edge_unlock_convert.errors import CheckpointError, ConversionError
from edge_unlock_convert.front_end import FrontEnd, read_front_end

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from edge_unlock_convert.training import saved  # noqa: E402
from edge_unlock_convert.training.recipe import Recipe  # noqa: E402

WEIGHTS = {"lstm.weight_hh_l0": torch.arange(6.0).reshape(2, 3), "embedding.bias": torch.ones(2)}
FRONT_END = FrontEnd(
    features=FeatureSpec(coefficients=13, filters=26),
    normalization=Normalization(mean=(0.0,) * 13, deviation=(1.0,) * 13, prior_frames=50.0),
    encoder=EncoderSpec(frames_stacked=2, embedding_size=2, pooling="mean"),
)
RECIPE = Recipe(name="tiny")


class Opens:
    """A pickled object that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    saved.save(tmp_path / "made", WEIGHTS, FRONT_END, RECIPE, {"step": 7, "average": WEIGHTS})
    return tmp_path / "made"


def test_what_was_saved_is_read_again(directory: Path) -> None:
    assert saved.is_begun(directory, RECIPE)
    found = saved.weights(directory, WEIGHTS)
    assert all(torch.equal(found[name], value) for name, value in WEIGHTS.items())
    progress = saved.progress(directory, WEIGHTS)
    assert progress["step"] == 7
    assert torch.equal(progress["average"]["embedding.bias"], torch.ones(2))
    assert read_front_end(directory / "front_end.json") == FRONT_END
    assert Recipe.load(directory / "recipe.toml") == RECIPE


@pytest.mark.parametrize("name", ["student.pt", "resume.pt"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_damaged(directory: Path, name: str, kept: float) -> None:
    whole = (directory / name).read_bytes()
    (directory / name).write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(CheckpointError, match="damaged"):
        saved.progress(directory, WEIGHTS) if name == "resume.pt" else saved.weights(
            directory, WEIGHTS
        )


def test_objects_are_not_loaded(directory: Path, tmp_path: Path) -> None:
    for archive in (True, False):
        evil = {"lstm": Opens(tmp_path / "opened")}
        torch.save(evil, directory / "student.pt", _use_new_zipfile_serialization=archive)
        torch.save(evil, directory / "resume.pt", _use_new_zipfile_serialization=archive)
        with pytest.raises(CheckpointError, match="never loaded"):
            saved.weights(directory, WEIGHTS)
        with pytest.raises(CheckpointError, match="never loaded"):
            saved.progress(directory, WEIGHTS)
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"embedding.bias": torch.ones(3)}, "`embedding.bias` differs"),
        ({"more": torch.ones(3)}, "`more` differs"),
        ({"embedding.bias": "a bias"}, "`embedding.bias` differs"),
        ({"embedding.bias": torch.tensor([1.0, np.nan])}, "no finite numbers"),
        ({"embedding.bias": torch.tensor([1.0, np.inf])}, "no finite numbers"),
        ({"embedding.bias": torch.tensor([1, 2])}, "no finite numbers"),
        ({"embedding.bias": torch.ones(2, device="meta")}, "no finite numbers"),
    ],
)
def test_weights_of_another_network_are_refused(
    directory: Path, changed: dict[str, Any], said: str
) -> None:
    torch.save(WEIGHTS | changed, directory / "student.pt")
    with pytest.raises(CheckpointError, match=said):
        saved.weights(directory, WEIGHTS)
    torch.save({"average": WEIGHTS | changed}, directory / "resume.pt")
    with pytest.raises(CheckpointError, match=said):
        saved.progress(directory, WEIGHTS)
    torch.save([*WEIGHTS.values()], directory / "student.pt")
    with pytest.raises(CheckpointError, match="not written by a training"):
        saved.weights(directory, WEIGHTS)


def test_there_is_nothing_where_nothing_was_saved(tmp_path: Path) -> None:
    assert not saved.is_begun(tmp_path, RECIPE)
    for read in (saved.progress, saved.weights):
        with pytest.raises(CheckpointError, match="there is no"):
            read(tmp_path, WEIGHTS)


def test_no_checkpoint_of_another_recipe_is_taken_the_place_of(directory: Path) -> None:
    (directory / "resume.pt").unlink()
    assert not saved.is_begun(directory, RECIPE)  # broken off at its first save
    other = Recipe(name="other")
    with pytest.raises(CheckpointError, match=r"there is no resume\.pt"):
        saved.is_begun(directory, other)
    (directory / "recipe.toml").unlink()
    with pytest.raises(CheckpointError, match=r"there is no resume\.pt"):
        saved.is_begun(directory, RECIPE)


def test_weights_that_are_no_numbers_are_not_saved(directory: Path) -> None:
    before = (directory / "student.pt").read_bytes()
    with pytest.raises(CheckpointError, match="no finite numbers"):
        saved.save(directory, {"bias": torch.tensor([np.nan])}, FRONT_END, RECIPE, {})
    assert (directory / "student.pt").read_bytes() == before


def test_what_cannot_be_written_leaves_the_former(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConversionError, match="No space left"):
        saved.save(directory, WEIGHTS, FRONT_END, RECIPE, {"step": 8})
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
