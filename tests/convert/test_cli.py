"""The commands as a person meets them: exit code, one line and a hint, and what is left behind."""

import hashlib
import importlib.util
import json
import os
import pickle
import runpy
import shutil
import subprocess
import sys
import zipfile

import pytest
from click.testing import CliRunner

from edge_unlock.encoder import shipped
from edge_unlock.encoder.package import ModelPackage
from edge_unlock_convert.cli import COMMANDS, main


def run(*arguments, **environment):
    return CliRunner().invoke(main, [str(one) for one in arguments], env=environment)


def run_program(command, **environment):
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


def assert_error(result, words):
    """One line, a hint, exit 1."""
    assert result.exit_code == 1, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 2, result.stderr
    assert lines[0].startswith("edge-unlock-convert: error: ")
    assert words in lines[0]
    assert lines[1].startswith("hint: ")


def test_help_loads_nothing_heavy():
    script = (
        "import sys; from click.testing import CliRunner; from edge_unlock_convert.cli import main;"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0;"
        "print([m for m in ('torch', 'tensorflow', 'onnx', 'matplotlib') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    for module in ("rich", "torch", "tqdm"):
        pytest.importorskip(module)
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_mistyped_option_is_a_usage_error():
    assert run("quantize", "x", "--quantise").exit_code == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [("--prior-frames", "nan"), ("--prior-frames", "0"), ("--prior-frames", "1e7"),
     ("--max-eer-delta", "inf"), ("--min-cosine", "nan")],
)  # fmt: skip
def test_a_limit_that_is_no_number_is_a_usage_error(option, value):
    assert run("quantize", "x", "--out", "y", "--speech", "z", option, value).exit_code == 2


@pytest.fixture
def quantize(tmp_path, speech):
    """Runs quantize and checks that a failure leaves nothing behind."""

    def quantize(checkpoint, *options, words):
        out = tmp_path / "out" / "package"
        result = run("quantize", checkpoint, "--out", out, "--speech", speech, *options)
        assert_error(result, words)
        assert not out.exists()
        assert not out.parent.exists() or not list(out.parent.iterdir())

    return quantize


SMALL_DISK = ("unshare", "--user", "--map-root-user", "--mount")
needs_converter = pytest.mark.skipif(
    importlib.util.find_spec("tflite") is None, reason="needs the extra 'convert'"
)


@needs_converter
class TestBadInput:
    """Each of these is met in the wild."""

    def test_absent_checkpoint(self, quantize, tmp_path):
        quantize(tmp_path / "nothing.pt", words="No such file")

    def test_unknown_format(self, quantize, tmp_path):
        (tmp_path / "model.xyz").write_text("?")
        quantize(tmp_path / "model.xyz", words="no known format")

    def test_truncated_zip(self, quantize, tmp_path, checkpoint):
        (tmp_path / "cut.pt").write_bytes(checkpoint.read_bytes()[:-999])
        quantize(tmp_path / "cut.pt", words="damaged")

    def test_truncated_keras_archive(self, quantize, tmp_path):
        with zipfile.ZipFile(tmp_path / "cut.keras", "w") as archive:
            archive.writestr("config.json", "{}")
            archive.writestr("model.weights.h5", "x" * 999)
        (tmp_path / "cut.keras").write_bytes((tmp_path / "cut.keras").read_bytes()[:-99])
        quantize(tmp_path / "cut.keras", words="damaged")

    def test_pickle_bomb(self, quantize, tmp_path):
        class Bomb:
            def __reduce__(self):
                return os.system, (f"touch {tmp_path / 'exploded'}",)

        torch = pytest.importorskip("torch")
        torch.save({"lstm.weight_ih_l0": Bomb()}, tmp_path / "bomb.pt")
        (tmp_path / "bare.pt").write_bytes(pickle.dumps(Bomb()))
        quantize(tmp_path / "bomb.pt", words="never loaded")
        quantize(tmp_path / "bare.pt", words="never loaded")
        assert not (tmp_path / "exploded").exists()

    @pytest.mark.filterwarnings("ignore::UserWarning")  # Keras says that .h5 is legacy
    @pytest.mark.parametrize("name", ["lambda.keras", "lambda.h5"])
    def test_lambda_layer(self, quantize, tmp_path, name):
        keras = pytest.importorskip("tensorflow").keras
        mark = str(tmp_path / "ran")

        def program(values):
            import pathlib

            pathlib.Path(mark).touch()
            return values

        model = keras.Sequential(
            [
                keras.layers.Input((None, 120)),
                keras.layers.LSTM(4, return_sequences=True),
                keras.layers.Lambda(program),
            ]
        )
        model.save(tmp_path / name)
        (tmp_path / "ran").unlink()  # building the model ran it
        quantize(tmp_path / name, words="a Lambda layer is a program")
        assert not (tmp_path / "ran").exists()

    def test_network_without_lstm(self, quantize, tmp_path):
        torch = pytest.importorskip("torch")
        cnn = torch.nn.Sequential(torch.nn.Conv1d(40, 8, 5), torch.nn.ReLU(), torch.nn.Linear(8, 4))
        torch.save(cnn.state_dict(), tmp_path / "cnn.pt")
        quantize(tmp_path / "cnn.pt", words="no LSTM")

    def test_weights_that_are_not_numbers(self, quantize, tmp_path, state_dict):
        torch = pytest.importorskip("torch")
        broken = {**state_dict, "lstm.weight_hh_l0": state_dict["lstm.weight_hh_l0"] * float("nan")}
        torch.save(broken, tmp_path / "nan.pt")
        quantize(tmp_path / "nan.pt", words="not finite")

    def test_wrong_feature_size(self, quantize, checkpoint):
        quantize(checkpoint, "--coefficients", 13, words="120 inputs a step")
        quantize(checkpoint, "--frames-stacked", 2, words="120 inputs a step")

    def test_all_that_is_unclear_is_said_at_once(self, quantize, tmp_path):
        torch = pytest.importorskip("torch")
        torch.save(torch.nn.LSTM(50, 8).state_dict(), tmp_path / "lstm.pt")
        words = "which are not whole frames of 40 coefficients; the checkpoint does not"
        quantize(tmp_path / "lstm.pt", words=words)

    def test_pooling_that_does_not_fit(self, quantize, checkpoint):
        quantize(
            checkpoint,
            "--pooling",
            "mean",
            words="several dense layers: embedding (20 -> 16), attention (20 -> 1)",
        )

    def test_empty_folder(self, quantize, checkpoint, tmp_path):
        empty = tmp_path / "empty"
        empty.mkdir()
        quantize(checkpoint, "--speech", empty, words="names no speech")

    def test_no_audio(self, quantize, checkpoint, tmp_path):
        folder = tmp_path / "texts"
        folder.mkdir()
        (folder / "a.wav").write_text("this is no audio")
        quantize(checkpoint, "--speech", folder, words="a.wav")

    def test_malformed_front_end(self, quantize, checkpoint, tmp_path):
        (tmp_path / "front_end.json").write_text('{"features": {"window": 3}}')
        quantize(checkpoint, "--front-end", tmp_path / "front_end.json", words="is no front end")

    def test_too_much_loss(self, quantize, checkpoint):
        quantize(checkpoint, "--min-cosine", 1, words="--min-cosine")

    def test_crash(self, quantize, checkpoint, monkeypatch, tmp_path):
        (tmp_path / "sitecustomize.py").write_text(
            "import os, sys\nif 'read' in sys.orig_argv: os.kill(os.getpid(), 11)\n"
        )
        path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
        monkeypatch.setenv("PYTHONPATH", path)
        quantize(checkpoint, words="ended by SIGSEGV")

    @pytest.mark.parametrize(
        ("full", "words"),
        [("out", "cannot write {}/out/package"), ("tmp", "temporary files in {}/tmp")],
    )
    def test_full_disk(self, tmp_path, checkpoint, speech, full, words):
        """In a namespace of its own, a directory is a disk that holds a few blocks."""
        if not shutil.which("unshare") or run_program([*SMALL_DISK, "true"]).returncode:
            pytest.skip("no disk can be mounted here")
        for name in ("out", "tmp"):
            (tmp_path / name).mkdir()
        command = [
            *(sys.executable, "-m", "edge_unlock_convert", "quantize", checkpoint),
            *("--speech", speech, "--out", tmp_path / "out" / "package"),
            *("--max-eer-delta", "100", "--test-utterances", "2", "--utterances", "4"),
        ]
        script = (
            'mount -t tmpfs -o size=16k none "$0" && { "$@"; status=$?; find "$0"; exit $status; }'
        )
        found = run_program(
            [*SMALL_DISK, "sh", "-c", script, tmp_path / full, *command],
            TMPDIR=str(tmp_path / "tmp"),
        )
        lines = found.stderr.strip().splitlines()
        assert (found.returncode, len(lines)) == (1, 2), found.stderr
        assert words.format(tmp_path) in lines[0]
        assert "No space left on device" in lines[0]
        assert lines[1].startswith("hint: Make room")
        assert found.stdout.split() == [str(tmp_path / full)]
        assert not list((tmp_path / "out").iterdir())


def test_existing_package_is_not_replaced_unasked(tmp_path, checkpoint, speech):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "keep").touch()
    result = run("quantize", checkpoint, "--out", tmp_path / "old", "--speech", speech)
    assert_error(result, "exists already")
    assert (tmp_path / "old" / "keep").exists()


def test_traceback_on_request(tmp_path):
    result = run("inspect", tmp_path, EDGE_UNLOCK_DEBUG="1")
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback")
    assert "edge_unlock.errors.ModelError: " in result.stderr


def test_inspect(package):
    result = run("inspect", package, "--json")
    found = json.loads(result.stdout)
    assert found["operators"]["FULLY_CONNECTED"] == 2 * 2 + 2  # two a layer, and two heads
    assert found["macs_per_step"] == 4 * 24 * 144 + 4 * 20 * 44 + 17 * 20
    assert found["signed"] is False
    assert "6 x FULLY_CONNECTED" in run("inspect", package).stdout


def test_what_was_assumed_is_told(checkpoint, speech, tmp_path):
    arguments = ("--out", tmp_path / "out", "--speech", speech, "--max-eer-delta", 100)
    few = ("--utterances", 4, "--test-utterances", 4)
    result = run("quantize", checkpoint, *arguments, *few, COLUMNS="300")
    assert result.exit_code == 0, result.output
    for words in ("40 MFCC", "pre-emphasis 0.97", "a running mean", "what embedding gives"):
        assert words in result.stdout
    assert "assumed: 40 MFCC" in (tmp_path / "out" / "MODEL_CARD.md").read_text()


def test_compare(package, checkpoint, speech, tmp_path):
    png = tmp_path / "scores.png"
    result = run("compare", checkpoint, package, "--speech", speech, "--json", "-", "--png", png)
    found = json.loads(result.stdout)
    assert found["utterances"] == 20
    assert found["cosine_median"] > 0.999
    assert set(found["sqnr_db"]) == {"lstm 1", "lstm 2", "embedding", "attention"}
    assert min(found["sqnr_db"].values()) > 20
    assert found["error_rates"]["speakers"] == 4
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def copy(package, tmp_path):
    return shutil.copytree(package, tmp_path / "copy")


def test_sign_and_verify(copy, tmp_path):
    key, public = tmp_path / "key", tmp_path / "key.pub"
    assert run("sign", copy, "--key", key, "--new-key").exit_code == 0
    assert key.stat().st_mode & 0o777 == 0o600
    assert run("verify", copy, "--key", public).exit_code == 0
    ModelPackage.load(copy, trusted_key=public)


def test_verify_refuses_what_was_altered(copy, tmp_path):
    key, public = tmp_path / "key", tmp_path / "key.pub"
    assert_error(run("verify", copy, "--key", public), "cannot read the trusted key")
    run("sign", copy, "--key", key, "--new-key")
    manifest = copy / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"version": "1"', b'"version": "2"'))
    assert_error(run("verify", copy, "--key", public), "is not by the trusted key")
    (copy / "manifest.sig").write_text("zz")
    assert_error(run("verify", copy, "--key", public), "is not signed")
    (copy / "manifest.sig").unlink()
    assert_error(run("verify", copy, "--key", public), "is not signed")


def test_pin_writes_what_the_device_compares_with(copy, tmp_path, monkeypatch):
    module = tmp_path / "shipped.py"
    module.write_text("")
    monkeypatch.setattr(shipped, "__file__", str(module))
    assert run("pin", copy).exit_code == 0
    written = runpy.run_path(module)
    assert written["NAME"] == "copy"
    sha256 = hashlib.sha256((copy / "manifest.json").read_bytes()).hexdigest()
    assert written["MANIFEST_SHA256"] == sha256
    named = copy.rename(copy.parent / 'x"; import os; y="')
    assert_error(run("pin", named), "a package cannot have the name")
    assert runpy.run_path(module)["NAME"] == "copy"


def test_another_key_does_not_verify(copy, tmp_path):
    run("sign", copy, "--key", tmp_path / "mine", "--new-key")
    run("sign", copy, "--key", tmp_path / "theirs", "--new-key")
    assert_error(run("verify", copy, "--key", tmp_path / "mine.pub"), "is not by the trusted key")


def test_key_that_others_can_read_is_refused(copy, tmp_path):
    key = tmp_path / "key"
    run("sign", copy, "--key", key, "--new-key")
    assert_error(run("sign", copy, "--key", key, "--new-key"), "cannot write the key")


def test_of_a_pair_of_keys_both_are_made_or_none(copy, tmp_path):
    key = tmp_path / "key"
    (tmp_path / "key.pub").touch()
    assert_error(run("sign", copy, "--key", key, "--new-key"), "cannot write the key")
    assert not key.exists()
    (tmp_path / "key.pub").rename(key)
    assert_error(run("sign", copy, "--key", key, "--new-key"), "cannot write the key")
    assert not (tmp_path / "key.pub").exists()
    key.chmod(0o644)
    assert_error(run("sign", copy, "--key", key), "others may read")


@pytest.mark.parametrize(("absent", "command"), [("tflite", "inspect"), ("torch", "train")])
def test_a_library_that_is_not_installed_is_one_line(absent, command):
    script = (
        f"import sys; sys.modules[{absent!r}] = None;"
        f"from edge_unlock_convert.cli import main; main([{command!r}, 'x'])"
    )
    done = run_program([sys.executable, "-c", script])
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2, done.stderr
    assert absent in done.stderr
    assert "pip install 'edge-unlock[convert]'" in done.stderr


def test_a_name_that_the_disk_cannot_keep_is_one_line(checkpoint, speech, tmp_path):
    out = tmp_path / ("x" * 300)
    assert_error(
        run("quantize", checkpoint, "--out", out, "--speech", speech), "File name too long"
    )


def test_a_defect_is_one_line_and_no_success(monkeypatch):
    def fail(_):
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("edge_unlock_convert.packaging.inspection.inspect", fail)
    assert_error(run("inspect", "x"), "unexpected ZeroDivisionError: by zero")


@pytest.mark.parametrize("text", ["[1]", '{"a":' * 50_000, "{", "\xff"])
def test_what_is_said_of_the_training_is_a_json_object(quantize, checkpoint, tmp_path, text):
    path = tmp_path / "training.json"
    path.write_text(text, encoding="latin-1")
    quantize(checkpoint, "--training", path, words="as a JSON object")


class TestWhatTheDeviceCannotTake:
    """Is refused before the long work."""

    @pytest.fixture
    def save(self, tmp_path):
        torch = pytest.importorskip("torch")

        def save(inputs, size):
            lstm, dense = torch.nn.LSTM(inputs, 4), torch.nn.Linear(4, size)
            state = {f"lstm.{name}": one for name, one in lstm.state_dict().items()}
            state |= {f"fc.{name}": one for name, one in dense.state_dict().items()}
            torch.save(state, tmp_path / "large.pt")
            return tmp_path / "large.pt"

        return save

    def test_too_long_an_embedding(self, quantize, save):
        quantize(save(40, 5000), "--pooling", "mean", words="no such network: Expected `int` <=")

    def test_too_many_frames_in_a_step(self, quantize, save):
        quantize(save(40 * 65, 4), "--pooling", "mean", words="$.frames_stacked")

    def test_too_large_a_file(self, quantize, save, monkeypatch):
        monkeypatch.setattr("edge_unlock_convert.packaging.quantize.MAX_FILE_BYTES", 500)
        quantize(save(40, 4), "--pooling", "mean", words="parameters: the device takes no file")
