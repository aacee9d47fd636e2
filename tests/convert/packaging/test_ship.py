"""From recordings to a package that the device runs: voices, train, ship, in small."""

import itertools
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from edge_unlock.encoder.encoder import Encoder
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.scoring.scorer import Scorer
from tests import speech

for module in ("torch", "tflite", "tomli_w"):
    pytest.importorskip(module, reason="needs the extras 'convert' and 'train'")
from edge_unlock_convert.cli import main  # noqa: E402
from edge_unlock_convert.training import conversion  # noqa: E402

RATE_HZ = 16_000
RECORDINGS = 7
CHANGES = ((1.0, 1.0, 1.0), (1.2, 1.08, 1.08), (0.85, 0.93, 0.93), (0.9, 1.1, 1.1))
"""How four people are made of each real one."""
RECIPE = """
name = "tiny"
seed = 1
variants = 1
held_out = { count = { speech = 4 } }
sampling = { crop_s = [1.0, 2.0], batch_s = 16.0, max_pieces = 16 }
augmentation = { rooms = 5 }
network = { hidden = 24, layers = 2, frames_stacked = 4, dropout = 0.0 }

[optimization]
steps = 100
warmup_steps = 5
learning_rate = 1e-2
average_decay = 0.9
"""


def teacher(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """The long-term spectrum in 24 bands: rough, but it does say something of the voice."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    edges = np.geomspace(80, 6000, 25) / rate_hz * samples.shape[-1]
    bands = [power[..., int(a) : int(b) + 1].mean(-1) for a, b in itertools.pairwise(edges)]
    logs = np.log(np.stack(bands, axis=-1))
    return (logs - logs.mean(axis=-1, keepdims=True)).astype(np.float32)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people, one folder each; beside it a manifest of them and of some noise."""
    root = tmp_path_factory.mktemp("recorded")
    real = speech.write_speakers(root, ("alice", "bob"), RECORDINGS)
    for name, paths in real.items():
        for number, change in enumerate(CHANGES):
            folder = root / "speech" / f"{name}{number}"
            folder.mkdir(parents=True)
            for path in paths:
                samples, _ = soundfile.read(path, dtype="float32")
                changed = conversion.change_voice(samples, RATE_HZ, conversion.Change(*change))
                soundfile.write(folder / path.name, changed, RATE_HZ)
    noise = np.random.default_rng(0).normal(0, 0.1, 40 * RATE_HZ)
    soundfile.write(root / "noise.wav", noise, RATE_HZ)
    rows = ["path\tsplit\tcorpus\tspeaker\tsex\tage", "noise.wav\tnoise\thiss\t-\t-\t-"]
    for path in sorted((root / "speech").glob("*/*")):
        name = path.parent.name
        rows.append(f"{path.relative_to(root)}\ttrain\tspeech\t{name}\t-\t-")
        sex, age = ("f", 30) if name.startswith("alice") else ("m", 12)
        rows.append(f"{path.relative_to(root)}\teval\tothers\t{name}\t{sex}\t{age}")
    (root / "manifest.tsv").write_text("\n".join(rows) + "\n")
    return root / "speech"


def test_a_model_is_trained_converted_and_run(recordings: Path, tmp_path: Path) -> None:
    recipe, checkpoint, package = (tmp_path / name for name in ("tiny.toml", "checkpoint", "made"))
    recipe.write_text(RECIPE)
    run("voices", recipe, "--speech", recordings, "--voices", tmp_path / "voices",
        "--teacher", f"{__name__}:teacher")  # fmt: skip
    run("train", recipe, "--voices", tmp_path / "voices", "--output", checkpoint)
    told = run("ship", checkpoint, "--speech", recordings, "--output", package)
    assert "at the default threshold" in told
    made = ModelPackage.load(package)
    assert made.cohort is not None
    assert made.manifest.calibration is not None
    quantization = made.manifest.accuracy["quantization"]
    assert quantization["cosine_median"] > 0.99
    card = (package / "MODEL_CARD.md").read_text()
    assert "Not measured yet." in card
    # thresholds that were lost are learned again, and told
    spoiled = msgspec.structs.replace(made.manifest, nontarget=None, calibration=None)
    (package / "manifest.json").write_bytes(spoiled.to_json())
    (package / "MODEL_CARD.md").write_text(card.replace("far-1e-2", "far-0"))
    run("thresholds", package, "--checkpoint", checkpoint, "--speech", recordings)
    assert ModelPackage.load(package).manifest == made.manifest
    assert (package / "MODEL_CARD.md").read_text() == card
    # the device runs it: a voice is more like itself than like another
    encoder, scorer = Encoder(made), Scorer(made)
    voices = {
        name: [
            encoder.embed(soundfile.read(path, dtype="float32")[0], RATE_HZ)
            for path in sorted((recordings / name).iterdir())
        ]
        for name in ("alice0", "bob0")
    }
    template = scorer.template(np.stack(voices["alice0"][:3]))
    own = [scorer.score(template, one) for one in voices["alice0"][3:]]
    other = [scorer.score(template, one) for one in voices["bob0"]]
    assert np.mean(own) > np.mean(other) + 0.2
    manifest = recordings.parent / "manifest.tsv"
    printed = run("evaluate", package, "--speech", manifest, "--checkpoint", checkpoint,
        "--cache", tmp_path / "cache", "--system", f"spectrum={__name__}:teacher",
        "--json", tmp_path / "figures.json", "--card", "--draws", "5")  # fmt: skip
    filled = (package / "MODEL_CARD.md").read_text()
    for needed in (
        "| float | others | clean | 3 | likelihood ratio |",
        "| float | others | clean | 3 | likelihood ratio, cohort of other corpora |",
        "| float | others | clean | 3 | set against cohort |",
        "| spectrum | others | clean |",
        "noise at 10 dB",
        "simulated room",
        "among under 18",
        "| far-1e-2 | others |",
    ):
        assert needed in filled, needed
        assert needed in printed, needed
    figures = json.loads((tmp_path / "figures.json").read_text())
    clean = [row for row in figures["error_rates"] if row["condition"] == "clean"]
    assert all(0 <= row["eer_interval"][0] <= row["eer"] <= 1 for row in clean)
    # what stands there is not replaced unasked
    again = CliRunner().invoke(
        main, ["ship", str(checkpoint), "--speech", str(recordings), "--output", str(package)]
    )
    assert again.exit_code == 1
    assert "exists already" in again.output
