"""The whole way: a checkpoint to a package that the device runs."""

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch")

from edge_unlock import Encoder
from edge_unlock_convert import checkpoint as checkpoints
from edge_unlock_convert import network
from edge_unlock_convert.front_end import FrontEnd
from edge_unlock_convert.quantization import quantized
from tests.convert.conftest import STACKED


def test_device_computes_what_the_checkpoint_does(package, checkpoint, speech):
    encoder = Encoder.load(package)
    manifest = encoder.package.manifest
    front_end = FrontEnd(
        features=manifest.features, normalization=manifest.normalization, encoder=manifest.encoder
    )
    original = checkpoints.read(checkpoint, checkpoints.Options())
    for path in sorted(speech.rglob("*.wav"))[::4]:
        samples = soundfile.read(path, dtype="float32")[0]
        outputs = next(iter(network.run(original, [front_end.steps(samples)])))
        expected = network.pool(outputs.embedding, outputs.logit, "attention")
        assert encoder.embed(samples, 16_000) @ expected > 0.999


def test_whole_utterances_give_what_the_device_gives_step_by_step(package, speech):
    encoder = Encoder.load(package)
    manifest = encoder.package.manifest
    front_end = FrontEnd(
        features=manifest.features, normalization=manifest.normalization, encoder=manifest.encoder
    )
    samples = soundfile.read(speech / "voice1" / "2.wav", dtype="float32")[0]
    outputs = next(iter(quantized.run(encoder.package.model, [front_end.steps(samples)], 16)))
    together = network.pool(outputs.embedding, outputs.logit, "attention")
    np.testing.assert_allclose(encoder.embed(samples, 16_000), together, atol=1e-6)


def test_manifest_and_card_are_complete(package):
    manifest = Encoder.load(package).package.manifest
    assert (manifest.encoder.frames_stacked, manifest.encoder.pooling) == (STACKED, "attention")
    assert manifest.accuracy["quantization"]["cosine_median"] > 0.999
    assert [point.name for point in manifest.operating_points] == ["far-1e-2", "far-1e-3"]
    card = (package / "MODEL_CARD.md").read_text()
    for words in ("24-20 LSTM", "6 x FULLY_CONNECTED", "EER, change", "CC0", "weak"):
        assert words in card
