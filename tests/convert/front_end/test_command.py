"""``quantize`` for networks on other features than the device's."""

import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

pytest.importorskip("torch")

from edge_unlock import Encoder
from edge_unlock_convert import checkpoint as checkpoints
from edge_unlock_convert import network
from edge_unlock_convert.cli import main
from edge_unlock_convert.front_end.agreement import Own
from edge_unlock_convert.front_end.ready import describe


@pytest.fixture
def quantize(checkpoint, speech, tmp_path):
    def quantize(*options):
        out = tmp_path / "package"
        command = ["quantize", checkpoint, "--out", out, "--speech", speech, *options]
        limits = ["--max-eer-delta", "100", "--test-utterances", "4", "--min-cosine", "0.9"]
        runner = CliRunner(env={"COLUMNS": "200"})
        return runner.invoke(main, [str(one) for one in command + limits]), out

    return quantize


def statistics(speech):
    """A description with the statistics that its training would have had."""
    from edge_unlock_convert.front_end.reference import frames

    plain = describe({"like": "device-log-mel"})
    heard = [frames(plain, soundfile.read(one)[0]) for one in sorted(speech.rglob("*.wav"))]
    heard = np.concatenate(heard)
    return {
        **{"like": "device-log-mel", "normalization": "statistics"},
        **{"mean": heard.mean(axis=0).tolist(), "deviation": heard.std(axis=0).tolist()},
    }


def test_the_device_gives_the_embeddings_of_the_training(quantize, checkpoint, speech, tmp_path):
    fields = statistics(speech)
    (tmp_path / "own.json").write_text(json.dumps(fields))
    result, out = quantize("--front-end", tmp_path / "own.json")
    assert result.exit_code == 0, result.output
    assert "mel filters" not in result.output
    encoder = Encoder.load(out)
    assert encoder.package.manifest.accuracy["features"]["exact"]
    assert "folded into the first layer exactly" in (out / "MODEL_CARD.md").read_text()
    own = Own(checkpoints.read(checkpoint, checkpoints.Options()), describe(fields))
    for path in sorted(speech.rglob("*.wav"))[::4]:
        samples = soundfile.read(path, dtype="float32")[0]
        outputs = next(iter(network.run(own.network, [own.steps(3, samples)])))
        expected = network.pool(outputs.embedding, outputs.logit, "attention")
        assert encoder.embed(samples, 16_000) @ expected > 0.999
    compared = CliRunner().invoke(
        main, ["compare", str(checkpoint), str(out), "--speech", str(speech)]
    )
    assert compared.exit_code == 1
    assert "folded into its weights" in compared.stderr


def test_features_that_cannot_be_given_are_refused(quantize, tmp_path):
    fields = {"like": "librosa-log-mel", "kind": "mel", "filters": 40}
    (tmp_path / "own.json").write_text(json.dumps(fields))
    options = ("--front-end", tmp_path / "own.json", "--min-feature-cosine", "0.95")
    result, out = quantize(*options)
    assert result.exit_code == 1
    assert "cannot make the features of this network" in result.stderr
    assert not out.exists()


def test_what_is_assumed_is_said(quantize):
    result, _ = quantize()
    assert result.exit_code == 0, result.output
    assert "40 MFCC of 40 mel filters" in result.stdout
