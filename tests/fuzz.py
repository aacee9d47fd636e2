"""Mutations of every file that is read: no traceback, no hang, and nothing weaker accepted.

    python -m tests.fuzz [--count 5000] [--seed 1] [--only NAME]

Bytes are flipped, cut, doubled and spliced; where the format is JSON its values are exchanged as
well, and hashes are set right, as somebody would who can write the file. Sealed files have no such
mutation but by who holds the key: for those, what is inside is mutated too. A test runs a few of
each.
"""

import copy
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edge_unlock.config import CONFIG_NAME, Settings
from edge_unlock.encoder.package import ModelPackage, shipped_package
from edge_unlock.errors import EdgeUnlockError, PolicyError
from edge_unlock.lock.trust import policy_for, trust
from edge_unlock.vault import Consent, KeyFile, ModelIdentity, Passphrase, Vault, transfer
from edge_unlock.vault.attempts import Attempts
from edge_unlock.vault.manifest import Manifest
from edge_unlock.vault.passphrase import Argon2Cost
from edge_unlock.vault.state import State
from edge_unlock.vault.templates import members_of

LONGEST_S = 10
"""What takes longer hangs."""

NASTY: tuple[Any, ...] = (
    *(0, -1, 1, 2**31, 2**63, 2**64, 10**400, -(10**400), 1e308, -1e308, 1e-320),
    *(float("nan"), float("inf"), float("-inf"), True, False, None),
    *("", "a" * 70_000, "\0", "\ud800", "../../etc/passwd", "far-1e-2", "1" * 5_000),
    *([], {}, [[]] * 100, [0] * 70_000, {"": ""}),
)

IDENTITY = ModelIdentity(b"m" * 32, b"f" * 32, 4)

CONFIG = b"""device = "usb"
far = 0.003
idle_limit_hours = 72.0
action_timeout_s = 5
model = "/opt/model"
refractory_s = 5
[[actions]]
type = "relay"
pin = 17
pulse_s = 2.5
[[actions]]
type = "command"
arguments = ["/bin/true", "x"]
[[actions]]
type = "mqtt"
topic = "house/door"
[mqtt]
host = "broker"
ca_file = "/etc/ca.pem"
[wyoming]
uri = "tcp://127.0.0.1:10320"
"""


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The same bytes with one to four faults."""
    raw = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(raw) + 1)
        end = min(len(raw), start + chance.choice((1, 2, 8, 64, 1000)))
        match chance.randrange(6):
            case 0 if start < len(raw):
                raw[start] ^= 1 << chance.randrange(8)
            case 1:
                del raw[start:end]
            case 2:
                raw[start:start] = raw[start:end]
            case 3:
                raw[start:start] = chance.randbytes(chance.choice((1, 4, 300)))
            case 4:
                del raw[start:]
            case _:
                other = chance.randrange(len(raw) + 1)
                raw[start:end] = raw[other : other + 64]
    return bytes(raw)


def mutated_json(document: Any, chance: random.Random) -> bytes:
    """The JSON of a document, of which one to three values are others, missing or doubled."""
    changed = copy.deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        node, key = changed, None
        while True:  # walk down to somewhere
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = chance.choice(keys)
            if not isinstance(node[key], dict | list) or chance.random() < 0.2:
                break
            node = node[key]
        if key is None or not len(node):
            continue
        match chance.randrange(5):
            case 0:
                del node[key]
            case 1 if isinstance(node, dict):
                node[f"{key}x"] = node[key]
            case 2 if isinstance(node[key], float):
                node[key] = node[key] * chance.choice((-1, 0, 1e6, 1e-6))
            case _:
                node[key] = copy.deepcopy(chance.choice(NASTY))
    text = json.dumps(changed)
    if chance.random() < 0.05:
        text = "[" * 100_000 + text
    if chance.random() < 0.05:
        text = text.replace("{", '{"name":"twice",', 1)
    return text.encode("utf-8", "surrogatepass")


class Targets:
    """Valid files of each kind, and what reads them. Each reader says what became of a mutation."""

    def __init__(self, directory: Path) -> None:
        self._home = directory / "home"
        self._key = KeyFile(directory / "key")
        self._phrase = Passphrase(
            lambda: "correct horse battery", Argon2Cost(memory_kib=19 * 1024, iterations=2, lanes=1)
        )
        consent = Consent("2025-01-31T12:00:00+00:00", "a test")
        with Vault.create(self._home, self._key) as vault:
            vault.enroll("anna", [[1.0, 0, 0, 0]], IDENTITY, consent)
            vault.learn_place([[0, 1.0, 0, 0]], 0.1, "", IDENTITY)
            vault.export(directory / "export", self._phrase)
            with vault._store.reading() as snapshot:
                self._state, self._manifest = snapshot.state, snapshot.manifest
            self._members = members_of(vault._store, snapshot)
        self._files = {
            path.relative_to(self._home): path.read_bytes()
            for path in self._home.rglob("*")
            if path.is_file() and path.suffix != ".log"
        }
        self._export = directory / "export"
        self._exported = self._export.read_bytes()
        self._config = directory / "config"
        self._config.mkdir()
        self._package = Path(shutil.copytree(shipped_package(), directory / "package"))
        self._original = ModelPackage.load(self._package)
        self._policy = policy_for(self._original)
        self._raw = {path.name: path.read_bytes() for path in self._package.iterdir()}

    @property
    def all(self) -> dict[str, Callable[[random.Random], str]]:
        """The readers, by name."""
        return {
            "config": self.config,
            "manifest": self.manifest,
            "cohort": self.cohort,
            "export": self.export,
            "state": self.state,
        }

    def config(self, chance: random.Random) -> str:
        """A configuration: it is read or refused; what it may loosen the vault's policy bounds."""
        path = self._config / CONFIG_NAME
        path.write_bytes(mutated(CONFIG, chance))
        path.chmod(0o600)
        Settings.load(self._config / CONFIG_NAME)
        return "read"

    def manifest(self, chance: random.Random) -> str:
        """A model manifest: none but the accepted one may decide."""
        raw = self._raw["manifest.json"]
        data = mutated(raw, chance)
        if chance.random() < 0.7:
            data = mutated_json(json.loads(raw), chance)
        (self._package / "manifest.json").write_bytes(data)
        return self._judge(ModelPackage.load(self._package), is_same=data == raw)

    def cohort(self, chance: random.Random) -> str:
        """A cohort whose hash is right."""
        data = mutated(self._raw["cohort.npy"], chance)
        if chance.random() < 0.5:  # in the header, where the shape is
            data = mutated(self._raw["cohort.npy"][:128], chance) + self._raw["cohort.npy"][128:]
        manifest = json.loads(self._raw["manifest.json"])
        manifest["cohort"]["sha256"] = hashlib.sha256(data).hexdigest()
        (self._package / "cohort.npy").write_bytes(data)
        (self._package / "manifest.json").write_text(json.dumps(manifest))
        return self._judge(ModelPackage.load(self._package), is_same=False)

    def _judge(self, package: ModelPackage, *, is_same: bool) -> str:
        try:
            trust(package, self._policy)
        except PolicyError:
            return "read, and not accepted"
        assert is_same, "an altered package may decide"
        return "the same"

    def export(self, chance: random.Random) -> str:
        """An export: altered outside of its seal it is refused; inside it may lie."""
        if chance.random() < 0.1:  # the key derivation takes time
            self._export.write_bytes(mutated(self._exported, chance))
            transfer.read(self._export, self._phrase)
            assert self._export.read_bytes() == self._exported, "an altered export opens"
            return "the same"
        packed = transfer._pack(self._members)
        length = transfer._LENGTH.unpack_from(packed)[0]
        start = transfer._LENGTH.size
        document = mutated_json(json.loads(packed[start : start + length]), chance)
        if chance.random() < 0.3:
            transfer._unpack(mutated(packed, chance))
        else:
            rows = packed[start + length :]
            transfer._unpack(transfer._LENGTH.pack(len(document)) + document + rows)
        return "read"

    def state(self, chance: random.Random) -> str:
        """Sealed files: no byte may differ. What is in them, by who has the key: read or not."""
        kind = chance.randrange(4)
        if kind == 0:
            Attempts.from_bytes(mutated_json(json.loads(self._state.sections["attempts"]), chance))
        elif kind == 1:
            Manifest.from_bytes(mutated_json(json.loads(self._manifest.to_bytes()), chance))
        elif kind == 2:
            inner = mutated_json(
                {"turn": 3, "unsettled": False, "sections": {"attempts": "e30=", "audit": ""}},
                chance,
            )
            State.parsed(inner)
        else:
            name = chance.choice(list(self._files))
            data = mutated(self._files[name], chance)
            (self._home / name).write_bytes(data)
            try:
                with Vault.open(self._home, self._key) as vault:
                    vault.templates(IDENTITY)
                    vault.place(IDENTITY, "")
                assert data == self._files[name], f"{name} was altered and opens"
            finally:
                (self._home / name).write_bytes(self._files[name])
            return "the same"
        return "read"


def fuzz(target: Callable[[random.Random], str], count: int, seed: int) -> Counter[str]:
    """Mutate so often; what became of the mutations. Raises what is no ``EdgeUnlockError``."""
    outcomes: Counter[str] = Counter()
    signal.signal(signal.SIGALRM, _hang)
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        signal.alarm(LONGEST_S)
        try:
            outcomes[target(chance)] += 1
        except EdgeUnlockError as error:
            assert "\n" not in str(error), f"{number}: {error} is more than a line"
            outcomes["refused"] += 1
        except BaseException:
            print(f"at mutation {number} of seed {seed}", file=sys.stderr)
            raise
        finally:
            signal.alarm(0)
    return outcomes


def _hang(*_: object) -> None:
    raise TimeoutError(f"no answer within {LONGEST_S} s")


@click.command(help=__doc__)
@click.option("--count", default=5000, show_default=True, help="Mutations of each kind.")
@click.option("--seed", default=1, show_default=True)
@click.option("--only", default="", help="Kinds whose names hold this.")
def command(count: int, seed: int, only: str) -> None:
    os.umask(0o077)
    with tempfile.TemporaryDirectory() as directory:
        for name, target in Targets(Path(directory)).all.items():
            if only in name:
                outcomes = ", ".join(
                    f"{k}: {n}" for k, n in fuzz(target, count, seed).most_common()
                )
                print(f"{name}: {outcomes}", flush=True)


if __name__ == "__main__":
    command()
