"""The encoder on an emulated 64-bit Arm processor gives the embeddings that it gives here.

    sudo apt-get install qemu-user-static
    python -m tests.emulated DIRECTORY [--runtime ai-edge-litert] [--processor cortex-a72]

Into the directory, which may be used again, go Debian's Python 3.11 for arm64, taken with apt-get
from where this machine has its packages, and what pip has for it. Nothing is installed. A processor
of an x86_64 host would be found in ``/proc`` and ``/sys``, and some runtimes fail on that: the
emulator is shown the files of a Raspberry Pi 4. Takes a minute or two; exits with 1 below a cosine
of 0.999.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from edge_unlock import Encoder
from tests import speech

ROOT = Path(__file__).parents[1]
PACKAGES = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libgcc-s1"),
    *("libstdc++6", "libgomp1", "zlib1g", "libexpat1", "libffi8", "libssl3", "libbz2-1.0"),
    *("liblzma5", "libcrypt1", "libuuid1"),
)
WHEELS = ("numpy<2", "scipy", "msgspec", "cryptography")
PURE = ("python_speech_features",)
"""Published as source only; it has no compiled parts, and is taken from here."""
PLATFORMS = ("manylinux2014_aarch64", *(f"manylinux_2_{n}_aarch64" for n in (17, 27, 28, 34)))
LEAST_COSINE = 0.999
PROCESSOR = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3
"""
CACHES = ((1, "Data", 32, 2, 256), (1, "Instruction", 48, 3, 256), (2, "Unified", 1024, 16, 1024))
"""Of a Cortex-A72: level, type, size in KiB, ways and sets."""
SCRIPT = """
import sys
sys.path[:0] = sys.argv[1].split(":")
import numpy as np
from edge_unlock import Encoder
from edge_unlock.encoder.network import runtime
samples = np.load(sys.argv[2])
np.save(sys.argv[3], Encoder.load().embed(samples, 16000))
print(runtime().__name__)
"""


def main() -> int:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--runtime", default="tflite-runtime==2.14.0")
    parser.add_argument("--processor", default="cortex-a72")
    arguments = parser.parse_args()
    directory: Path = arguments.directory.resolve()
    if shutil.which("qemu-aarch64-static") is None:
        print("there is no qemu-aarch64-static: install qemu-user-static", file=sys.stderr)
        return 1
    system, site = directory / "system", directory / arguments.runtime
    if not (system / "usr/bin/python3.11").exists():
        take_system(system)
    if not site.exists():
        take_wheels(site, (*WHEELS, arguments.runtime))
    samples = speech.utterances(1)[0][: 4 * 16000]
    np.save(directory / "samples.npy", samples)
    libraries = ":".join(f"{system}/{place}/aarch64-linux-gnu" for place in ("usr/lib", "lib"))
    emulator = ["qemu-aarch64-static", "-cpu", arguments.processor, "-L", str(system)]
    emulator += ["-E", f"LD_LIBRARY_PATH={libraries}", "-E", f"PYTHONHOME={system}/usr"]
    files = [directory / "samples.npy", directory / "embedding.npy"]
    command = [*emulator, system / "usr/bin/python3.11", "-c", SCRIPT, f"{site}:{ROOT}", *files]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    cosine = float(np.load(directory / "embedding.npy") @ Encoder.load().embed(samples, 16000))
    print(f"{name} on {arguments.processor}: cosine {cosine:.6f}")
    return 0 if cosine > LEAST_COSINE else 1


def take_system(system: Path) -> None:
    """Unpack Python for arm64, and what tells of the processor."""
    state = system.parent / "apt"
    for part in ("lists/partial", "archives/partial"):
        (state / part).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "root",
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state,
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    run(["apt-get", *options, "-qq", "update"])
    run(["apt-get", *options, "-qq", "download", *PACKAGES], state)
    system.mkdir(exist_ok=True)
    for package in state.glob("*.deb"):
        run(["dpkg-deb", "-x", package, system])
    (system / "proc").mkdir()
    (system / "proc/cpuinfo").write_text(PROCESSOR)
    for number, (level, kind, size, ways, sets) in enumerate(CACHES):
        cache = system / f"sys/devices/system/cpu/cpu0/cache/index{number}"
        cache.mkdir(parents=True)
        told = {"level": level, "type": kind, "size": f"{size}K", "number_of_sets": sets}
        told |= {"ways_of_associativity": ways, "coherency_line_size": 64, "shared_cpu_list": 0}
        for file, value in told.items():
            (cache / file).write_text(f"{value}\n")
    for file in ("possible", "present"):
        (system / "sys/devices/system/cpu" / file).write_text("0\n")


def take_wheels(site: Path, wanted: Sequence[str]) -> None:
    """What pip has for Python 3.11 on arm64."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-warn-conflicts"]
    options = ["--target", site, "--python-version=3.11", "--only-binary=:all:"]
    run([*pip, *options, *(f"--platform={platform}" for platform in PLATFORMS), *wanted])
    for name in PURE:
        found = find_spec(name)
        if found is not None and found.origin is not None:
            shutil.copytree(Path(found.origin).parent, site / name)


def run(command: Sequence[str | Path], directory: Path | None = None) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, check=True, cwd=directory)


if __name__ == "__main__":
    sys.exit(main())
