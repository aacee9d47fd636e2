"""What earlier releases wrote is read; how it was made says vectors/README.md."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_unlock.vault import Consent, KeyFile, KeySource, ModelIdentity, Vault
from edge_unlock.vault.container import HEADER_BYTES, Context, Header, unseal

from .conftest import passphrase

V1 = Path(__file__).parent / "vectors" / "v1"
IDENTITY = ModelIdentity(bytes(range(32)), bytes(range(32, 64)), 192)
CONSENT = Consent("2025-01-31T12:00:00+00:00", "unlocking the door")
FAILURES = [2, 6, 1]  # of anna, of Zoë, of an identification


def voice(person: int, rows: int) -> NDArray[np.float32]:
    angles = np.outer(np.arange(1, rows + 1) + 10 * person, np.arange(1, 193))
    vectors = np.cos(angles)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """A private copy of the files."""
    copy = tmp_path / "v1"
    shutil.copytree(V1, copy)
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    return copy


@pytest.fixture(params=["keyfile", "passphrase"])
def old(request: pytest.FixtureRequest, vectors: Path) -> tuple[Path, KeySource]:
    """A vault of that format, and what opens it."""
    source = KeyFile(vectors / "keyfile.key") if request.param == "keyfile" else passphrase()
    return vectors / request.param, source


def assert_members(vault: Vault) -> None:
    """Assert that anna and Zoë are enrolled as they were."""
    people = {entry.name: entry for entry in vault.users()}
    assert list(people) == ["Zoë", "anna"]
    assert (people["anna"].utterances, people["Zoë"].utterances) == (3, 2)
    assert people["anna"].operating_point is None
    assert people["Zoë"].operating_point == "far-1e-3"
    assert all(entry.consent == CONSENT for entry in people.values())
    templates = {template.user: template.embeddings for template in vault.templates(IDENTITY)}
    np.testing.assert_allclose(templates["anna"], voice(1, 3), atol=1e-6)
    np.testing.assert_allclose(templates["Zoë"], voice(2, 2), atol=1e-6)


def test_people_and_log_are_read(old: tuple[Path, KeySource]) -> None:
    with Vault.open(*old) as vault:
        assert_members(vault)
        assert vault.audit.verify() == 3


def test_counters_are_read(old: tuple[Path, KeySource]) -> None:
    home, _ = old
    blob = (home / "attempts.eus").read_bytes()
    with Vault.open(*old) as vault, vault._store.reading() as snapshot:
        state = unseal(
            blob, snapshot.journal_key("attempts"), Context("attempts", snapshot.vault_id)
        )
    assert [failures for failures, *_ in json.loads(state).values()] == FAILURES


def test_the_vault_can_be_written_to(old: tuple[Path, KeySource]) -> None:
    with Vault.open(*old) as vault:
        vault.add("anna", voice(1, 1), IDENTITY)
        vault.audit.append("accepted", user="anna")
    with Vault.open(*old) as vault:
        assert len(vault.template("anna", IDENTITY).embeddings) == 4
        assert vault.audit.verify() == 6  # with the migration and the addition


def test_the_export_is_read(vectors: Path, tmp_path: Path) -> None:
    new_key = KeyFile(tmp_path / "key")
    with Vault.import_(
        tmp_path / "vault", vectors / "export.eux", passphrase(), new_key
    ) as imported:
        assert_members(imported)


def test_the_headers_stay_as_they_are() -> None:
    header = Header.read((V1 / "passphrase" / "manifest.euv").read_bytes(), "key slot")
    assert (HEADER_BYTES, header.version, header.kek_id) == (131, 1, 2)
