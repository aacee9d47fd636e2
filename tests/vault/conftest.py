"""A small vault, and what is enrolled in it."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_unlock.vault import (
    Argon2Cost,
    Consent,
    KeyFile,
    KeySource,
    ModelIdentity,
    Passphrase,
    Vault,
    store,
)
from edge_unlock.vault.attempts import uptime

SIZE = 8  # cheap: the tests are about bytes, not voices
MODEL = ModelIdentity(b"m" * 32, b"f" * 32, SIZE)
CONSENT = Consent("2025-01-31T12:00:00+00:00", "unlocking the door")
LINES = 5  # created, enrolled twice, rejected, accepted
AS_MANY = "as many"
PHRASE = "correct horse battery"


def passphrase(phrase: str = PHRASE) -> Passphrase:
    return Passphrase(lambda: phrase, Argon2Cost(memory_kib=19 * 1024, iterations=2, lanes=1))


def voice(seed: int, rows: int = 2, size: int = SIZE) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(rows, size))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def key(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "key")


@pytest.fixture
def stored(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How: a record each, or, for tests that ask for it ``AS_MANY``, as vaults of many are."""
    if getattr(request, "param", None) == AS_MANY:
        monkeypatch.setattr(store, "MOST_SINGLY", 0)
        monkeypatch.setattr(store, "_MOST_LISTED", 0)


@pytest.fixture
def home(tmp_path: Path, key: KeyFile, stored: None) -> Path:
    """A vault of Ana (seed 1) and Bo (seed 2), with a failure and LINES audit lines."""
    home = tmp_path / "vault"
    with Vault.create(home, key) as vault:
        vault.enroll("Ana", voice(1), MODEL, CONSENT)
        vault.enroll("Bo", voice(2), MODEL, CONSENT)
        fail(vault, "Ana")
        vault.audit.append("accepted", user="Bo")
    return home


def check(vault: Vault, name: str) -> None:
    """Raise LockedOutError unless an attempt may be made."""
    with vault.turn() as turn:
        turn.attempts.at(uptime()).check(name)


def fail(vault: Vault, name: str) -> None:
    """Make an attempt that fails, as the gatekeeper does."""
    with vault.turn() as turn:
        attempts = turn.attempts.at(uptime()).charge([name])
        turn.charge(attempts)
        turn.finish(attempts.failing(), "rejected", user=name)


def use_everything(home: Path, key: KeySource) -> None:
    """Read every file of the vault."""
    with Vault.open(home, key) as vault:
        vault.templates(MODEL)
        check(vault, "Ana")
        vault.audit.verify()
