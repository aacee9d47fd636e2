"""A package under both runtimes that a device may have, each in an environment of its own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("tflite")

from edge_unlock.encoder.package import ModelPackage
from edge_unlock_convert import checkpoint as checkpoints
from edge_unlock_convert import network
from edge_unlock_convert.front_end import FrontEnd
from edge_unlock_convert.quantization import quantized
from edge_unlock_convert.quantization.conversion import convert
from edge_unlock_convert.quantization.lowering import SCHEMES

ROOT = Path(__file__).parents[2]

RUNTIMES = {
    "tflite_runtime": ["tflite-runtime==2.14.0", "numpy<2"],
    "ai_edge_litert": ["ai-edge-litert"],
}
NEEDED = ["msgspec", "python-speech-features", "scipy"]
SCRIPT = """
import sys, numpy as np
from edge_unlock.encoder.network import Network, runtime
module, model, steps, size, out = sys.argv[1:]
assert runtime().__name__.startswith(module)
steps = np.load(steps)
network = Network(open(model, "rb").read(), steps.shape[1], int(size), attention=True)
found = [network.step(one) for one in steps]
np.savez(out, embedding=[one.embedding for one in found], logit=[one.logit for one in found])
"""


@pytest.mark.slow
@pytest.mark.parametrize("module", RUNTIMES)
def test_a_network_runs_alike(package, checkpoint, speech, tmp_path, module):
    manifest = ModelPackage.load(package).manifest
    front_end = FrontEnd(
        features=manifest.features, normalization=manifest.normalization, encoder=manifest.encoder
    )
    steps = front_end.steps(soundfile.read(speech / "voice0" / "1.wav", dtype="float32")[0])
    np.save(tmp_path / "steps.npy", steps)
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python, size = environment / "bin" / "python", manifest.encoder.embedding_size
    wanted = [*RUNTIMES[module], *NEEDED]
    subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
    original = checkpoints.read(checkpoint, checkpoints.Options())
    for scheme in SCHEMES:
        model = tmp_path / f"{scheme}.tflite"
        model.write_bytes(convert(original, [steps], scheme, "minmax"))
        files = [model, tmp_path / "steps.npy", str(size), tmp_path / "out.npz"]
        subprocess.run([python, "-c", SCRIPT, module, *files], check=True, cwd=ROOT)
        with np.load(tmp_path / "out.npz") as found:
            embedding = network.pool(found["embedding"], found["logit"], "attention")
        here = next(iter(quantized.run(model.read_bytes(), [steps], size)))
        cosine = float(embedding @ network.pool(here.embedding, here.logit, "attention"))
        print(f"{module}, {scheme}: cosine {cosine:.6f}")
        assert cosine > 0.999
