"""How long it takes to identify a voice among many: ``python -m tests.identifying [COUNT...]``.

Makes a vault of so many synthetic templates, of the size of the shipped model's and of three
utterances each, through an export file; then opens it in a process of its own and measures there:

- ``open_s``: the vault and the list of who is enrolled;
- ``load_s``: the templates, decrypted, and the gallery made of them, once;
- ``compare_ms``: scores, score normalization, thresholds and rates of all, and the ten likeliest;
- ``attempt_ms``: the same with all that an identification does but hearing and embedding: the
  attempt is charged on the disk before, and the decision and the log are on the disk after;
- memory, in MB: of the process before the vault was opened, after, and at most.

A line of JSON each.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge_unlock.encoder.calibration import Quality
from edge_unlock.encoder.encoder import Encoder
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.encoder.similarity import unit
from edge_unlock.lock.gatekeeper import Gatekeeper
from edge_unlock.lock.hearing import Heard
from edge_unlock.scoring.recognizer import Recognizer, Voice
from edge_unlock.scoring.scorer import Scorer
from edge_unlock.segmentation.segment import Segment
from edge_unlock.vault import (
    Argon2Cost,
    Consent,
    KeyFile,
    ModelIdentity,
    Passphrase,
    Vault,
    transfer,
)
from edge_unlock.vault.record import Member, UserEntry

COUNTS = (1, 100, 10_000, 100_000)
TIMES = 11
TOLD = 10
UTTERANCES = 3
WHEN = "2025-01-31T12:00:00+00:00"
HEARD = [Heard(Segment(0.0, 3.0, np.zeros(48000, np.float32), False, -60, -20, 0, 8000), False)]


class Prepared(Recognizer):
    """Hears one voice, whatever is said."""

    voice: Voice

    def hear(self, segments: object, embedding: object = None) -> Voice:
        return self.voice


def identity_of(package: ModelPackage) -> ModelIdentity:
    manifest = package.manifest
    size = manifest.encoder.embedding_size
    return ModelIdentity(package.sha256, manifest.front_end_sha256(), size)


def made(count: int, identity: ModelIdentity) -> list[Member]:
    """Made users: a direction each, and utterances about it."""
    rng = np.random.default_rng(0)
    consent = Consent(WHEN, "measuring")
    members = []
    for number in range(count):
        direction = rng.normal(size=identity.embedding_size)
        said = direction + 0.5 * rng.normal(size=(UTTERANCES, identity.embedding_size))
        entry = UserEntry(f"voice {number:06}", WHEN, WHEN, UTTERANCES, consent, identity)
        members.append((entry, unit(said.astype(np.float32))))
    return members


def make(home: Path, count: int) -> None:
    """Make a vault of ``count`` templates in ``home``."""
    phrase = Passphrase(lambda: "correct horse battery", Argon2Cost(19 * 1024, 2, 1))
    export = home.parent / "export"
    transfer.write(export, made(count, identity_of(ModelPackage.load())), phrase)
    Vault.import_(home, export, phrase, KeyFile(home.parent / "key")).close()
    export.unlink()


def measure(home: Path) -> dict[str, object]:
    """Open the vault in ``home``, identify voices, and say what that took."""
    package = ModelPackage.load()
    recognizer = Prepared(Encoder(package), Scorer(package), identity_of(package), told=TOLD)
    before_mb = _memory_mb("VmRSS")
    start = time.perf_counter()
    with Vault.open(home, KeyFile(home.parent / "key")) as vault:
        opened = time.perf_counter()
        recognizer.know(vault.templates(recognizer.identity))
        loaded = time.perf_counter()
        after_mb = _memory_mb("VmRSS")
        count = len(recognizer.names)
        name = recognizer.names[count // 2]
        said = vault.template(name, recognizer.identity).embeddings.mean(axis=0)
        recognizer.voice = Voice(unit(said), Quality(3.0, 2.4), 8000.0, None)
        everybody = np.ones(count)
        compare_ms = _median_ms(lambda: recognizer.compare(recognizer.voice, everybody))
        gatekeeper = Gatekeeper(vault, recognizer)
        decision = gatekeeper.judge(HEARD)  # the first loads them
        if decision.user != name:
            raise SystemExit(f"{name} was not identified: {decision}")
        attempt_ms = _median_ms(lambda: gatekeeper.judge(HEARD))
    return {
        "voices": count,
        "open_s": round(opened - start, 3),
        "load_s": round(loaded - opened, 3),
        "compare_ms": compare_ms,
        "attempt_ms": attempt_ms,
        "memory_before_mb": before_mb,
        "memory_mb": after_mb,
        "peak_mb": _memory_mb("VmHWM"),
    }


def _memory_mb(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise LookupError(field)


def _median_ms(run: Callable[[], object]) -> float:
    durations = []
    for _ in range(TIMES):
        start = time.perf_counter()
        run()
        durations.append(time.perf_counter() - start)
    return round(float(np.median(durations)) * 1e3, 2)


def measured(count: int) -> dict[str, object]:
    """Make a vault of ``count``, and return what a process of its own measures of it."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "state"
        make(home, count)
        command = [sys.executable, "-m", "tests.identifying", "--open", str(home)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    return {**json.loads(told), "vault_mb": round(size / 2**20, 2)}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--open"]:
        print(json.dumps(measure(Path(sys.argv[2]))))
    else:
        for number in [int(argument) for argument in sys.argv[1:]] or COUNTS:
            print(json.dumps(measured(number)), flush=True)
