"""Recipes: what they extend, what is refused, and those that ship."""

from pathlib import Path

import msgspec
import pytest

from edge_unlock.errors import ConfigError
from edge_unlock_convert.training.recipe import Recipe

BASE = """
name = "base"
seed = 7

[held_out]
speakers = ["a/1"]
count = { a = 25, b = 20 }

[network]
hidden = 24
layers = 2
"""
OVER = """
extends = "base.toml"
name = "over"
held_out.count.a = 10

[network]
hidden = 32
"""
SHIPPED = sorted((Path(__file__).parents[3] / "convert" / "recipes").rglob("*.toml"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.toml").write_text(BASE)
    (tmp_path / "over.toml").write_text(OVER)
    return tmp_path


def test_a_recipe_says_what_differs_from_the_one_that_it_extends(folder: Path) -> None:
    base, over = (Recipe.load(folder / name) for name in ("base.toml", "over.toml"))
    assert (over.name, over.seed) == ("over", 7)
    assert (over.network.hidden, over.network.layers) == (32, 2)
    assert over.held_out.speakers == ("a/1",)
    assert over.held_out.count == {"a": 10, "b": 20}
    assert base.held_out.count["a"] == 25
    # what a checkpoint keeps of it stands alone
    alone = folder / "elsewhere" / "recipe.toml"
    alone.parent.mkdir()
    alone.write_bytes(msgspec.toml.encode(over))
    assert Recipe.load(alone) == over


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("optimization.learning_rate = inf", "`learning_rate` is no finite number"),
        ("optimization.weight_decay = nan", "weight_decay"),
        ("sampling.crop_s = [1.0, nan]", "crop_s"),
        ("prior_frames = inf", "`prior_frames` is no finite number"),
        ("augmentation.gain_db = [3.0, -25.0]", "`gain_db` begins over its end"),
        ("sampling.crop_s = []", "crop_s"),
        ("teachers = []", "teachers"),
        ("seed = -1", "seed"),
        ("variants = 0", "variants"),
        ("held_out.count.a = -1", "held_out"),
        ("optimization.warmup_steps = -1", "warmup_steps"),
    ],
)
def test_values_that_no_training_can_have_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "this.toml"
    path.write_text(f'name = "x"\n{text}\n')
    with pytest.raises(ConfigError, match=f"is not a recipe: .*{said}"):
        Recipe.load(path)


def test_a_file_of_another_encoding_is_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "this.toml"
    path.write_bytes(b'name = "\xff"')
    with pytest.raises(ConfigError, match="is not a recipe"):
        Recipe.load(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "x"\nextends = "none.toml"', r"cannot read .*none\.toml"),
        ('name = "x"\nextends = "this.toml"', r"this\.toml extends itself"),
        ('name = "x"\nextends = "folder/../this.toml"', r"this\.toml extends itself"),
        ('name = "x"\nextends = "round.toml"', r"this\.toml extends itself"),
        ('name = "x"\nextends = "base.toml"\n[network]\nhiden = 3', "hiden"),
        ('name = "x"\nextends = "base.toml"\nnetwork = 3', r"network"),
        ('name = "x"\n[optimization]\nsteps = -1', "steps"),
        ('name = "x" "y"', "not a recipe"),
    ],
)
def test_what_is_no_recipe_is_refused(folder: Path, text: str, said: str) -> None:
    (folder / "folder").mkdir()
    (folder / "round.toml").write_text('name = "round"\nextends = "this.toml"')
    path = folder / "this.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        Recipe.load(path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_the_recipes_of_the_shipped_model_can_be_read(path: Path) -> None:
    assert Recipe.load(path).network.hidden == 256
