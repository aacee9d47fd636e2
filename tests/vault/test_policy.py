"""The policy in the vault: sealed with it, and kept through every change."""

import json
from math import inf, nan
from pathlib import Path

import pytest

from edge_unlock.errors import PolicyError, VaultError
from edge_unlock.vault import AcceptedPackage, KeyFile, Policy, Vault
from edge_unlock.vault.manifest import Manifest
from edge_unlock.vault.policy import SOLE_FACTOR

from .conftest import CONSENT, MODEL, passphrase, voice

PACKAGE = AcceptedPackage(b"p" * 32, "edge-voice", "1", {"far-1e-2": 0.25})
POLICY = Policy(PACKAGE, 0.003, 72.0, frozenset({SOLE_FACTOR}))


def test_a_vault_without_one_opens_and_takes_one(home: Path, key: KeyFile) -> None:
    with Vault.open(home, key) as vault:
        assert vault.policy() is None
        vault.enroll("Cy", voice(3), MODEL, CONSENT, policy=POLICY)
        with pytest.raises(PolicyError):  # one enrolls by what was sealed meanwhile
            vault.enroll("Di", voice(4), MODEL, CONSENT, policy=Policy(PACKAGE))
        assert vault.policy() == POLICY
    with Vault.open(home, key) as vault:
        assert vault.policy() == POLICY


def test_it_outlives_every_change(home: Path, key: KeyFile) -> None:
    with Vault.open(home, key) as vault:
        vault.accept(POLICY)
        vault.enroll("Cy", voice(3), MODEL, CONSENT)
        vault.remove("Ana")
        vault.forget_place()
        vault.rekey(passphrase())
        assert vault.policy() == POLICY


def test_an_import_decides_by_what_is_in_use_there(
    home: Path, key: KeyFile, tmp_path: Path
) -> None:
    with Vault.open(home, key) as vault:
        vault.accept(Policy(PACKAGE))
        vault.export(tmp_path / "export", passphrase())
    new_key = KeyFile(tmp_path / "new.key")
    made = Vault.import_(tmp_path / "new", tmp_path / "export", passphrase(), new_key, POLICY)
    with made as vault:
        assert vault.policy() == POLICY


def test_it_accepts_its_package_alone() -> None:
    POLICY.check(b"p" * 32)
    for other in (b"q" * 32, b"p" * 31, b""):
        with pytest.raises(PolicyError):
            POLICY.check(other)


def test_a_manifest_without_a_policy_is_written_as_before() -> None:
    assert b"policy" not in Manifest.new().to_bytes()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("false_accept_rate", 0),
        ("false_accept_rate", 1),
        ("false_accept_rate", nan),
        ("false_accept_rate", "much"),
        ("idle_limit_hours", 0),
        ("idle_limit_hours", inf),
        ("flags", ["of a later release"]),
        ("flags", [SOLE_FACTOR, "of a later release"]),
        ("flags", SOLE_FACTOR),
        ("flags", None),
        ("manifest_sha256", "00"),
        ("thresholds", []),
    ],
)
def test_one_that_is_not_understood_is_refused(field: str, value: object) -> None:
    document = json.loads(Manifest.new().under(POLICY).to_bytes())
    document["policy"][field] = value
    with pytest.raises(VaultError):
        Manifest.from_bytes(json.dumps(document).encode())
