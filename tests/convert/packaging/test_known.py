"""A recording with a known embedding, given to ``quantize``."""

import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

pytest.importorskip("torch")

from edge_unlock_convert import checkpoint as checkpoints
from edge_unlock_convert import network
from edge_unlock_convert.cli import main
from edge_unlock_convert.errors import ConversionError
from edge_unlock_convert.front_end import Own
from edge_unlock_convert.front_end.ready import describe
from edge_unlock_convert.packaging.known import Check, read_embedding

SIZE = 16
NUMBERS = np.linspace(-1, 2, SIZE)


@pytest.fixture
def quantize(checkpoint, speech, tmp_path):
    """Runs it with a known embedding of a recording that gave it no ranges."""
    audio = tmp_path / "known.flac"
    samples = soundfile.read(speech / "voice3" / "2.wav")[0]
    soundfile.write(audio, 0.5 * samples[::-1], 16_000)

    def quantize(embedding, *options):
        np.save(tmp_path / "known.npy", embedding(soundfile.read(audio, dtype="float32")[0]))
        command = [
            *("quantize", checkpoint, "--out", tmp_path / "package", "--speech", speech),
            *("--max-eer-delta", "100", "--test-utterances", "4", "--front-end", "device-log-mel"),
            *("--check-audio", audio, "--check-embedding", tmp_path / "known.npy", *options),
        ]
        return CliRunner(env={"COLUMNS": "200"}).invoke(main, [str(one) for one in command])

    return quantize


def test_the_package_gives_the_known_embedding(quantize, checkpoint):
    def embedding(samples):
        own = Own(
            checkpoints.read(checkpoint, checkpoints.Options()),
            describe({"like": "device-log-mel"}),
        )
        outputs = next(iter(network.run(own.network, [own.steps(3, samples)])))
        return 7 * network.pool(outputs.embedding, outputs.logit, "attention")

    result = quantize(embedding, "--min-cosine", "0.9")
    assert result.exit_code == 0, result.output
    rows = {
        line.split("│")[1].strip(): line.split("│")[2].strip()
        for line in result.stdout.splitlines()
        if "known embedding" in line
    }
    assert rows["known embedding, features as described"] == "1.0000"
    assert float(rows["known embedding, float"]) > 0.9999
    assert float(rows["known embedding, quantized"]) > 0.98


def test_another_embedding_is_refused(quantize, tmp_path):
    result = quantize(lambda _: NUMBERS)
    assert result.exit_code == 1
    assert "does not give the known embedding" in result.stderr
    assert "features are the likely cause" in result.stderr
    assert not (tmp_path / "package").exists()


def test_the_limit_can_be_lowered(quantize, tmp_path):
    result = quantize(lambda _: NUMBERS, "--min-check-cosine", "-1", "--min-cosine", "0.9")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "package" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("own", "original", "words"),
    [
        (None, 0.4, "features are the likely cause"),
        (0.4, 0.4, "features are the likely cause"),
        (0.99, 0.4, "description is right"),
        (None, 0.99, "Quantization lost"),
    ],
)
def test_the_hint_says_what_lost_it(own, original, words):
    check = Check(own=own, original=original, quantized=0.3, others=0.1)
    with pytest.raises(ConversionError) as caught:
        check.check(0.95)
    assert words in caught.value.hint
    with pytest.raises(ConversionError):
        Check(own=None, original=float("nan"), quantized=float("nan"), others=0).check(-1)


def test_one_option_without_the_other(checkpoint, speech, tmp_path):
    command = ["quantize", checkpoint, "--out", tmp_path, "--speech", speech, "--check-audio", "x"]
    result = CliRunner().invoke(main, [str(one) for one in command])
    assert result.exit_code == 2
    assert "belong together" in result.stderr


def test_embedding_files(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(NUMBERS.tolist()))
    np.save(tmp_path / "a.npy", NUMBERS[None].astype(np.float32))
    for name in ("a.json", "a.npy"):
        np.testing.assert_allclose(read_embedding(tmp_path / name, SIZE), NUMBERS, rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[1, 2, 3]", r"its shape is \(3,\)"),
        (b'{"a": 1}', "is no embedding"),
        (b'["a"]', "is no embedding"),
        (b"[[1, 2], [3]]", "is no embedding"),
        (b"\x93NUMPY\x01\x00", "is no embedding"),
        (b"", "is no embedding"),
        (json.dumps([0.0] * SIZE).encode(), "zero or not finite"),
    ],
)
def test_what_is_no_embedding(tmp_path, data, words):
    (tmp_path / "known").write_bytes(data)
    with pytest.raises(ConversionError, match=words):
        read_embedding(tmp_path / "known", SIZE)


def test_an_absent_embedding(tmp_path):
    with pytest.raises(ConversionError, match="No such file"):
        read_embedding(tmp_path / "known", SIZE)


def test_pickled_objects_are_not_loaded(tmp_path):
    np.save(tmp_path / "known.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(ConversionError, match="is no embedding"):
        read_embedding(tmp_path / "known.npy", SIZE)
