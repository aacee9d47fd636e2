"""What an encoder costs: size, memory, time. Each is a process of its own on one core.

    python convert/figures/cost.py SYSTEM TEMPLATE RECORDING...

decides on the first recording, then hears all of them, and prints a line of JSON after each.
SYSTEM is a model package, or ``module:function``. TEMPLATE is a file of the embedding to compare
with, and is made if it is not there.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from edge_unlock.errors import ConfigError

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
MEGABYTE = 1e6


class Cost(NamedTuple):
    """One run. ``wall`` is the time on a clock, ``cpu`` that of the processor.

    ``start`` is from the beginning of the process to its first decision, by the cosine ``score``;
    ``share`` the time of hearing as a share of the recordings' own. Megabytes have 10^6 bytes.
    """

    start_wall_s: float
    start_cpu_s: float
    score: float
    share_wall: float
    share_cpu: float
    peak_mb: float
    weights_mb: float
    origin: str


def measure(name: str, system: str, template: Path, recordings: Sequence[Path]) -> Cost:
    """Run once. Raises ``ConfigError`` where the encoder does not."""
    command = [sys.executable, __file__, system, str(template), *map(str, recordings)]
    environment = os.environ | dict.fromkeys(THREADS, "1")
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, as where it is installed
    begun = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        ) as process,
    ):
        told = iter(process.stdout or ())
        first = next(_found(told), {})
        start_wall_s = time.perf_counter() - begun
        rest = next(_found(told), {})
        process.wait()
        errors.seek(0)
        said = errors.read()
    if process.returncode:
        reason = (said.strip().splitlines() or ["it said nothing"])[-1]
        raise ConfigError(
            f"{name} does not run: {reason}",
            "convert/figures/peers.py says what to install; --system chooses encoders.",
        )
    return Cost(start_wall_s, **first, **rest)


def _found(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """What was told; libraries may print other lines."""
    return (json.loads(line) for line in lines if line.startswith("{"))


def _run(system: str, template: Path, recordings: Sequence[Path]) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    import numpy as np

    from edge_unlock.audio import SAMPLE_RATE_HZ

    if Path(system).is_dir():
        from edge_unlock.encoder.encoder import Encoder

        encoder = Encoder.load(system)
        embed: Any = encoder.embed
        files = [one for one in Path(system).iterdir() if one.suffix in (".tflite", ".npy")]
        origin = f"edge-unlock {version('edge-unlock')}"
    else:
        from edge_unlock_convert.training.teacher import load_teacher

        embed = load_teacher(system)
        files, origin = [embed.weights()], embed.origin
    from edge_unlock_convert.corpus import decode

    def heard(path: Path) -> Any:
        return decode(path, str(path), SAMPLE_RATE_HZ)

    voice = embed(heard(recordings[0]), SAMPLE_RATE_HZ)
    if not template.exists():
        np.save(template, voice)
    score = float(voice @ np.load(template))
    _tell(score=score, start_cpu_s=time.process_time())
    speech = [heard(path) for path in recordings]
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for samples in speech:
        embed(samples, SAMPLE_RATE_HZ)
    seconds = sum(map(len, speech)) / SAMPLE_RATE_HZ
    _tell(
        share_wall=(time.perf_counter() - wall_s) / seconds,
        share_cpu=(time.process_time() - cpu_s) / seconds,
        peak_mb=_peak_kib() * 1024 / MEGABYTE,
        weights_mb=sum(one.stat().st_size for one in files) / MEGABYTE,
        origin=origin,
    )


def _peak_kib() -> int:
    """Of this process alone: ``ru_maxrss`` would count what its parent had when it was begun."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _tell(**found: Any) -> None:
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    _run(sys.argv[1], Path(sys.argv[2]), [Path(one) for one in sys.argv[3:]])
