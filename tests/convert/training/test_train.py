"""A whole training in small: voices of a teacher, a student, a checkpoint."""

from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from edge_unlock.errors import ConfigError
from edge_unlock_convert.errors import CheckpointError, ConversionError

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("tomli_w", reason="needs the extra 'train'")
from edge_unlock_convert.cli import main  # noqa: E402
from edge_unlock_convert.front_end import read_front_end  # noqa: E402
from edge_unlock_convert.training import pseudo, shaping, train  # noqa: E402
from edge_unlock_convert.training.pieces import Pieces  # noqa: E402
from edge_unlock_convert.training.recipe import HeldOut, Recipe, Shape  # noqa: E402
from edge_unlock_convert.training.sampler import Sampler, held_out_speakers  # noqa: E402
from edge_unlock_convert.training.train import Training  # noqa: E402
from edge_unlock_convert.training.voices import VoiceSet  # noqa: E402

SPEAKERS, RATE_HZ = 6, 16_000
RECIPE = """
name = "tiny"
seed = 3
variants = 2
borrowing = 1
held_out = { speakers = ["speech/p5"] }
sampling = { crop_s = [0.5, 1.0], batch_s = 8.0, max_pieces = 16 }
augmentation = { rooms = 3, shuffle = 0.5 }
network = { hidden = 16, layers = 2, frames_stacked = 4 }
optimization = { steps = 30, warmup_steps = 3, learning_rate = 1e-2 }
"""


def teacher(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Shares of the energy in 16 bands: says who speaks, as the pitches differ."""
    spectrum = np.abs(np.fft.rfft(samples, 8192)) ** 2
    edges = np.geomspace(20, 4000, 17) / rate_hz * 8192
    bands = [spectrum[..., int(a) : int(b) + 1].sum(-1) for a, b in pairwise(edges)]
    shares = np.stack(bands, axis=-1) / spectrum.sum(-1, keepdims=True)
    return np.log1p(shares * 100).astype(np.float32)


def voice(pitch_hz: float, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    time = np.arange(int(1.3 * RATE_HZ)) / RATE_HZ
    tones = sum(np.sin(2 * np.pi * pitch_hz * k * time) / k for k in range(1, 20))
    return (0.1 * tones + 0.005 * generator.normal(size=len(time))).astype(np.float32)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(RECIPE)
    return Recipe.load(path)


@pytest.fixture(scope="module")
def voices(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> list[VoiceSet]:
    root = tmp_path_factory.mktemp("made")
    for speaker in range(SPEAKERS):
        folder = root / "speech" / f"p{speaker}"
        folder.mkdir(parents=True)
        for number in range(3):
            samples = voice(90 * 1.25**speaker, 10 * speaker + number)
            soundfile.write(folder / f"{number}.wav", samples, RATE_HZ)
    for variant in (0, 1):
        seen: list[int] = []
        made = pseudo.make(recipe, root / "speech", root, variant, [teacher], seen.append)
        assert made == sum(seen) == SPEAKERS - variant  # the one held out is not changed
    return [VoiceSet.load(root, "v0"), VoiceSet.load(root, "v1")]


def test_training_resumes_exactly_and_lowers_its_losses(
    recipe: Recipe, voices: list[VoiceSet], tmp_path: Path
) -> None:
    whole, losses = Training(recipe, voices), []
    whole.run(report=lambda progress: losses.append(progress.distill), report_every=10)
    assert losses[-1] < 0.7 * losses[0]

    first = Training(recipe, voices)
    first.run(11)
    first.save(tmp_path)
    assert first.sha256() != whole.sha256()
    second = Training(recipe, voices)
    second.resume(tmp_path)
    second.run()
    assert second.step == whole.step == 30
    assert second.sha256() == whole.sha256()


def test_checkpoint_is_what_the_converter_reads(
    recipe: Recipe, voices: list[VoiceSet], tmp_path: Path
) -> None:
    training = Training(recipe, voices)
    training.run(2)
    training.save(tmp_path)
    state = torch.load(tmp_path / "student.pt", weights_only=True)
    assert state["lstm.weight_ih_l0"].shape == (64, 160)
    assert state["embedding.weight"].shape == (16, 16)
    assert state["attention.weight"].shape == (1, 16)
    front_end = read_front_end(tmp_path / "front_end.json")
    assert front_end.input_size == 160
    assert front_end.normalization == training.normalization
    assert Recipe.load(tmp_path / "recipe.toml") == recipe
    follower = Training(msgspec.structs.replace(recipe, seed=4, prior_frames=150.0), voices)
    follower.start_from(tmp_path)
    assert follower.sha256() == training.sha256()
    assert follower.normalization.mean == training.normalization.mean
    assert follower.normalization.prior_frames == 150


def test_it_goes_on_in_the_directions_that_the_joined_teachers_have_now(
    recipe: Recipe, voices: list[VoiceSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "TRAINED_PIECES", (8, 1))
    network = msgspec.structs.replace(recipe.network, embedding=4)
    recipe = msgspec.structs.replace(recipe, teachers=(1.0, 0.8), network=network)
    voices = [VoiceSet(*one[:5], (one.embeddings[:, ::-1] ** 2,)) for one in voices]
    first = Training(recipe, voices)
    first.run(20)
    first.save(tmp_path / "first")
    first.save(tmp_path / "turned")
    state = torch.load(tmp_path / "turned" / "student.pt", weights_only=True)
    shaping.turn(state, torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator()))[0])
    torch.save(state, tmp_path / "turned" / "student.pt")
    starts = []
    for name in ("first", "turned"):
        follower = Training(recipe, voices)
        follower.start_from(tmp_path / name)
        starts.append(follower.averaged_state())
    for name, value in starts[0].items():
        torch.testing.assert_close(value, starts[1][name], atol=1e-4, rtol=0)
    assert not torch.allclose(state["embedding.weight"], starts[1]["embedding.weight"], atol=0.1)
    idle = msgspec.structs.replace(recipe.optimization, steps=0)
    mean = Training(msgspec.structs.replace(recipe, optimization=idle), voices)
    mean.start_from(tmp_path / "turned")
    assert torch.equal(mean.averaged_state()["embedding.weight"], state["embedding.weight"])
    mean.start_from(tmp_path / "first", tmp_path / "turned")
    for name, value in mean.averaged_state().items():
        torch.testing.assert_close(value, first.averaged_state()[name], atol=1e-4, rtol=0)


def test_a_training_of_no_steps_is_the_mean_of_what_it_starts_from(
    recipe: Recipe, voices: list[VoiceSet], tmp_path: Path
) -> None:
    states = []
    for seed in (1, 2):
        one = Training(msgspec.structs.replace(recipe, seed=seed), voices)
        if states:
            one.start_from(tmp_path / "0")
        one.run(2)
        one.save(tmp_path / str(len(states)))
        states.append(one.averaged_state())
    idle = msgspec.structs.replace(recipe.optimization, steps=0)
    mean = Training(msgspec.structs.replace(recipe, optimization=idle), voices)
    mean.start_from(tmp_path / "0", tmp_path / "1")
    mean.run()
    for name, value in mean.averaged_state().items():
        torch.testing.assert_close(value, (states[0][name] + states[1][name]) / 2)
    # which prior they were trained with does not count: the recipe's does
    other = mean.normalization.deviation[::-1]
    for name, changed in (("prior", {"prior_frames": 9.0}), ("other", {"deviation": other})):
        mean.normalization = msgspec.structs.replace(mean.normalization, **changed)
        mean.save(tmp_path / name)
    mean.start_from(tmp_path / "0", tmp_path / "prior")
    assert mean.normalization.prior_frames == recipe.prior_frames
    with pytest.raises(ConfigError, match="different front ends"):
        mean.start_from(tmp_path / "0", tmp_path / "other")
    slower = msgspec.structs.replace(recipe.features, hop_samples=200)
    with pytest.raises(ConfigError, match="another front end than the recipe"):
        Training(msgspec.structs.replace(recipe, features=slower), voices).start_from(
            tmp_path / "0"
        )


def test_what_is_damaged_or_of_another_network_starts_and_resumes_nothing(
    recipe: Recipe, voices: list[VoiceSet], tmp_path: Path
) -> None:
    training = Training(recipe, voices)
    training.save(tmp_path)
    larger = msgspec.structs.replace(recipe.network, hidden=24)
    wider = Training(msgspec.structs.replace(recipe, network=larger), voices)
    with pytest.raises(CheckpointError, match="another network than the recipe's"):
        wider.start_from(tmp_path)
    progress = torch.load(tmp_path / "resume.pt", weights_only=True)
    torch.save(progress | {"student": {}}, tmp_path / "resume.pt")
    with pytest.raises(CheckpointError, match="of another training"):
        Training(recipe, voices).resume(tmp_path)
    whole = (tmp_path / "resume.pt").read_bytes()
    (tmp_path / "resume.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="damaged"):
        Training(recipe, voices).resume(tmp_path)
    (tmp_path / "recipe.toml").write_text("seed =")
    with pytest.raises(ConfigError, match="not a recipe"):
        Training(recipe, voices).resume(tmp_path)


def test_no_steps_from_nowhere_are_refused(tmp_path: Path) -> None:
    recipe = tmp_path / "idle.toml"
    recipe.write_text('name = "idle"\noptimization.steps = 0\n')
    arguments = ["train", str(recipe), "--voices", str(tmp_path), "--output", str(tmp_path / "to")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "nothing to start from" in result.output
    assert not (tmp_path / "to").exists()


def test_the_checkpoint_is_shaped_and_the_training_is_not(
    recipe: Recipe, voices: list[VoiceSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "TRAINED_PIECES", (8, 2))
    # two people of two pieces each, and one of one
    names = {"speech/p1": "speech/p0", "speech/p3": "speech/p2"}
    voices = [
        VoiceSet(
            one.audio,
            one.offsets,
            np.array([names.get(name, name) for name in one.speakers.tolist()]),
            one.embeddings,
            one.transforms,
        )
        for one in voices
    ]
    shape = Shape(fine_cepstra=0.7, recurrence=0.8, attention=0.5, spread=0.2, within=0.3)
    shaped = Training(msgspec.structs.replace(recipe, shape=shape), voices)
    plain = Training(recipe, voices)
    shaped.run(2)
    plain.run(2)
    learned, given = plain.averaged_state(), shaped.averaged_state()
    pieces = Pieces(voices[0], {"speech/p0", "speech/p2", "speech/p4"}, 8, 2)
    assert len(pieces) == 4
    stretch = shaping.spread(pieces.targets, 0.2)
    heard = torch.tensor(([1.0] * 30 + [0.7] * 10) * 4)  # 40 cepstra of 4 frames
    expected = learned | {
        "lstm.weight_ih_l0": learned["lstm.weight_ih_l0"] * heard,
        "lstm.weight_hh_l1": 0.8 * learned["lstm.weight_hh_l1"],
        "attention.weight": 0.5 * learned["attention.weight"],
        "attention.bias": 0.5 * learned["attention.bias"],
        "embedding.weight": stretch @ learned["embedding.weight"],
        "embedding.bias": stretch @ learned["embedding.bias"],
    }
    # the recorded pieces of those who are trained on, as that student hears them
    embeddings = pieces.embed(expected, plain.student, plain.front_end, 3.0)
    narrowed = shaping.within(embeddings, pieces.speakers, 0.3)
    assert not torch.allclose(narrowed, torch.eye(len(narrowed)), atol=1e-3)
    for name in ("embedding.weight", "embedding.bias"):
        expected[name] = narrowed @ expected[name]
    for name, value in expected.items():
        torch.testing.assert_close(given[name], value, msg=name)
    assert shaped.sha256() != plain.sha256()


def test_nothing_is_shaped_by_nobody(recipe: Recipe, voices: list[VoiceSet]) -> None:
    shaped = msgspec.structs.replace(recipe, shape=Shape(within=0.3))
    with pytest.raises(ConfigError, match="pieces enough"):
        Training(shaped, voices)  # one piece of each


def test_a_checkpoint_names_who_was_held_out(
    recipe: Recipe, voices: list[VoiceSet], tmp_path: Path
) -> None:
    drawn = msgspec.structs.replace(recipe, held_out=HeldOut(count={"speech": 2}))
    training = Training(drawn, voices)
    training.save(tmp_path)
    kept = Recipe.load(tmp_path / "recipe.toml").held_out
    # among more speakers the same count would draw others
    assert held_out_speakers(kept, [*voices[0].speakers, "speech/new"], 3) == set(kept.speakers)
    assert set(kept.speakers) == training.sampler.held_out
    assert len(kept.speakers) == 2
    Training(drawn, voices).resume(tmp_path)


def test_a_training_that_diverges_ends_before_it_is_saved(
    recipe: Recipe, voices: list[VoiceSet]
) -> None:
    optimization = msgspec.structs.replace(recipe.optimization, learning_rate=1e30)
    training = Training(msgspec.structs.replace(recipe, optimization=optimization), voices)
    with pytest.raises(ConversionError, match="diverged"):
        training.run()


@pytest.mark.parametrize("option", [["--threads", "0"], ["--threads", "100000"], ["--until", "0"]])
def test_counts_that_cannot_be_are_a_matter_of_usage(tmp_path: Path, option: list[str]) -> None:
    arguments = ["train", str(tmp_path), "--voices", str(tmp_path), "--output", "x", *option]
    assert CliRunner().invoke(main, arguments).exit_code == 2


def test_a_device_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    arguments = ["train", str(tmp_path), "--voices", str(tmp_path), "--output", "x"]
    result = CliRunner().invoke(main, [*arguments, "--device", "nowhere"])
    assert result.exit_code == 1
    assert "PyTorch cannot use the device" in result.output


def test_resuming_with_another_recipe_is_refused(
    recipe: Recipe, voices: list[VoiceSet], tmp_path: Path
) -> None:
    Training(recipe, voices).save(tmp_path)
    other = Training(msgspec.structs.replace(recipe, seed=4), voices)
    with pytest.raises(ConfigError, match="another recipe"):
        other.resume(tmp_path)


def test_held_out_speakers_are_never_drawn(recipe: Recipe, voices: list[VoiceSet]) -> None:
    sampler = Sampler(recipe, voices)
    assert sampler.held_out == {"speech/p5"}
    assert len(sampler.prototypes) == 2 * (SPEAKERS - 1)  # recorded and changed
    batch = sampler.batch(np.random.default_rng(0))
    assert int(batch.voices.max()) < 2 * (SPEAKERS - 1)
    torch.testing.assert_close(batch.targets.norm(dim=1), torch.ones(len(batch.targets)))


def test_only_the_last_variants_borrow(recipe: Recipe, voices: list[VoiceSet]) -> None:
    generator = np.random.default_rng(0)
    shares = {
        borrows: [pseudo.draw_change(generator, borrows).borrowed for _ in range(50)]
        for borrows in (False, True)
    }
    assert not any(shares[False])
    assert 0.4 <= max(shares[True]) <= 1
    assert voices[0].transforms[:, 3].max() == 0
    assert voices[1].transforms[:, 3].max() > 0


def test_held_out_draw_is_by_corpus_and_reproducible(recipe: Recipe) -> None:
    settings = msgspec.structs.replace(recipe.held_out, speakers=(), count={"a": 2})
    speakers = [f"{corpus}/{number}" for corpus in "ab" for number in range(5)]
    chosen = held_out_speakers(settings, speakers, 0)
    assert len(chosen) == 2
    assert all(speaker.startswith("a/") for speaker in chosen)
    assert chosen == held_out_speakers(settings, reversed(speakers), 0)


def test_a_mistyped_key_of_a_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text('name = "x"\nlearning_rat = 1')
    with pytest.raises(ConfigError, match="learning_rat"):
        Recipe.load(path)
