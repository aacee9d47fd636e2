"""A package under both runtimes that a device may have, each in an environment of its own."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

pytest.importorskip("tflite")

from edge_unlock.encoder.package import ModelPackage
from edge_unlock_convert import network
from edge_unlock_convert.front_end import FrontEnd
from edge_unlock_convert.quantization import quantized

RUNTIMES = {
    "tflite_runtime": ["tflite-runtime==2.14.0", "numpy<2"],
    "ai_edge_litert": ["ai-edge-litert"],
}
SCRIPT = """
import sys, numpy as np
from {module}.interpreter import Interpreter
model, steps, out = sys.argv[1:]
steps = np.load(steps)
interpreter = Interpreter(model_path=model, num_threads=1)
index = interpreter.get_input_details()[0]["index"]
interpreter.resize_tensor_input(index, [1, 1, steps.shape[1]])
interpreter.allocate_tensors()
interpreter.reset_all_variables()
details = interpreter.get_input_details()[0]
scale, zero = details["quantization"]
found = {{one["shape"][-1]: [] for one in interpreter.get_output_details()}}
for step in steps:
    values = np.clip(np.rint(step / scale) + zero, -128, 127).astype(np.int8)
    interpreter.set_tensor(details["index"], values[None, None])
    interpreter.invoke()
    for one in interpreter.get_output_details():
        scale_out, zero_out = one["quantization"]
        values_out = interpreter.get_tensor(one["index"]).astype(np.float32)
        found[one["shape"][-1]].append((values_out[0, 0] - zero_out) * scale_out)
np.savez(out, embedding=found.pop(max(found)), logit=np.array(found.pop(1))[:, 0])
"""


@pytest.mark.slow
@pytest.mark.parametrize("module", RUNTIMES)
def test_package_runs_alike(package, speech, tmp_path, module):
    loaded = ModelPackage.load(package)
    manifest = loaded.manifest
    front_end = FrontEnd(
        features=manifest.features, normalization=manifest.normalization, encoder=manifest.encoder
    )
    steps = front_end.steps(soundfile.read(speech / "voice0" / "1.wav", dtype="float32")[0])
    np.save(tmp_path / "steps.npy", steps)
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", *RUNTIMES[module]], check=True)
    arguments = [package / "model.tflite", tmp_path / "steps.npy", tmp_path / "out.npz"]
    subprocess.run([python, "-c", SCRIPT.format(module=module), *arguments], check=True)
    with np.load(tmp_path / "out.npz") as found:
        embedding = network.pool(found["embedding"], found["logit"], "attention")
    here = next(iter(quantized.run(loaded.model, [steps], manifest.encoder.embedding_size)))
    expected = network.pool(here.embedding, here.logit, "attention")
    cosine = float(embedding @ expected)
    print(f"{module}: cosine {cosine:.6f}")
    assert cosine > 0.999
