"""Which model package decides: what the vault seals, and what it refuses."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from edge_unlock.model import shipped_package
from edge_unlock.vault import KeyFile, Vault
from tests.cli.conftest import assert_error


def altered(directory, change):
    """A copy of the shipped package with another manifest: the same network, other thresholds."""
    copy = Path(shutil.copytree(shipped_package(), directory))
    manifest = json.loads((copy / "manifest.json").read_text())
    change(manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


@pytest.fixture
def lenient(tmp_path):
    """A package that accepts nearly everybody."""

    def change(manifest):
        manifest["nontarget"]["offset"] = -0.9

    return altered(tmp_path / "lenient", change)


def policy(installation):
    with Vault.open(installation.home, KeyFile(installation.keyfile)) as vault:
        return vault.policy()


def forget_policy(installation):
    """Make the vault one of an earlier release."""
    with Vault.open(installation.home, KeyFile(installation.keyfile)) as vault:
        vault.accept(None)


def test_a_new_vault_seals_the_package_that_ships(initialized, package):
    assert policy(initialized).package.manifest_sha256 == package.manifest_sha256
    shown = json.loads(initialized.run("model", "show", "--json").stdout)
    assert shown["accepted"] == shown["in_use"]


@pytest.mark.parametrize("command", [("verify", "alice"), ("identify",), ("listen", "--once")])
def test_a_package_with_lower_thresholds_lets_nobody_in(enrolled, people, lenient, command):
    (enrolled.home / "config.toml").write_text(f'model = "{lenient}"\n')
    result = enrolled.run(*command, "--input", people["bob"][0])
    assert_error(result, 1, "accepts")
    assert "edge-unlock model accept" in result.stderr
    assert_error(enrolled.enroll("bob", people["bob"][:3]), 1, "accepts")
    assert_error(enrolled.run("calibrate", "--impostors", people["bob"][0], "--yes"), 1, "accepts")
    found = enrolled.run("doctor").stdout
    assert "FAIL  model: this model package is not the one that the vault accepts" in found


def test_a_network_that_is_not_accepted_is_not_run(enrolled, people, tmp_path):
    """Its bytes may break the interpreter."""

    def change(manifest):
        manifest["model"]["sha256"] = hashlib.sha256(b"no network").hexdigest()

    copy = altered(tmp_path / "copy", change)
    (copy / "model.tflite").write_bytes(b"no network")
    for command in (("verify", "alice", "--input", people["alice"][4]), ("doctor",)):
        result = enrolled.run("--model", copy, *command)
        assert result.exit_code == 1
        assert "network" not in result.output and "accepts" in result.output


def test_what_is_accepted_decides_and_nothing_else(enrolled, people, lenient):
    arguments = ("--input", people["bob"][0])
    accepting = enrolled.run("--model", lenient, "model", "accept", stdin="y\n")
    assert accepting.exit_code == 0
    assert "old: edge-voice-8 1" in accepting.stdout and "thresholds: " in accepting.stdout
    assert enrolled.run("--model", lenient, "verify", "alice", *arguments).exit_code == 0
    assert_error(enrolled.run("verify", "alice", *arguments), 1, "accepts")  # the shipped one
    assert enrolled.run("model", "accept", "--yes").exit_code == 0
    assert enrolled.run("verify", "alice", *arguments).exit_code == 3


def test_without_a_yes_nothing_is_sealed(enrolled, lenient):
    before = enrolled.state()
    for stdin in ("n\n", ""):
        result = enrolled.run("--model", lenient, "model", "accept", stdin=stdin)
        assert result.exit_code == 1
    assert enrolled.state() == before


def test_a_vault_of_before_takes_the_shipped_package_and_no_other(enrolled, people, lenient):
    forget_policy(enrolled)
    arguments = ("verify", "alice", "--input", people["alice"][4])
    assert enrolled.run(*arguments).exit_code == 0
    assert policy(enrolled) is None
    assert_error(enrolled.run("--model", lenient, *arguments), 1, "not the one that ships")
    assert enrolled.enroll("alice", people["alice"][:4], "--replace").exit_code == 0
    assert policy(enrolled) is not None


def test_a_new_vault_of_another_package_waits_for_acceptance(installation, people, lenient):
    other = ("--model", lenient)
    result = installation.run(*other, "init")
    assert result.exit_code == 0 and "edge-unlock model accept" in result.stderr
    recordings = [part for path in people["alice"][:4] for part in ("--input", path)]
    enroll = (*other, "enroll", "alice", "--consent", *recordings)
    assert_error(installation.run(*enroll), 1, "not the one that ships")
    assert installation.run(*other, "model", "accept", "--yes").exit_code == 0
    assert installation.run(*enroll).exit_code == 0


def test_nothing_asks_for_a_looser_decision_than_what_is_sealed(enrolled, people):
    alice = ("verify", "alice", "--input", people["alice"][4])
    assert_error(enrolled.run(*alice, "--far", "0.02"), 1, "looser")
    assert enrolled.run(*alice, "--far", "0.001").exit_code in (0, 3)
    assert enrolled.run("model", "accept", "--yes", "--far", "0.001").exit_code == 0
    assert_error(enrolled.run(*alice, "--operating-point", "far-1e-2"), 1, "looser")
    assert_error(enrolled.enroll("bob", people["bob"][:3], "--far", "0.01"), 1, "looser")
    (enrolled.home / "config.toml").write_text("far = 0.01\n")
    assert_error(enrolled.run(*alice), 1, "looser")
    (enrolled.home / "config.toml").unlink()
    told = json.loads(enrolled.run(*alice, "--json").stdout)
    assert told["decision"] in ("accepted", "rejected")


def test_a_person_is_not_decided_about_more_loosely_either(enrolled, people):
    options = ("--replace", "--far", "0.01")
    assert enrolled.enroll("alice", people["alice"][:4], *options).exit_code == 0
    assert enrolled.run("model", "accept", "--yes", "--far", "0.001").exit_code == 0
    assert_error(enrolled.run("verify", "alice", "--input", people["alice"][4]), 1, "looser")


def test_a_looser_rate_may_be_sealed_and_what_is_not_named_stays(initialized):
    options = ("--far", "0.05", "--idle-limit-hours", "72")
    assert initialized.run("model", "accept", "--yes", *options).exit_code == 0
    assert initialized.run("model", "accept", "--yes").stdout == "accepted already\n"
    sealed = policy(initialized)
    assert (sealed.false_accept_rate, sealed.idle_limit_hours) == (0.05, 72)
    assert initialized.run("model", "accept", "--yes", "--idle-limit-hours", "0").exit_code == 0
    sealed = policy(initialized)
    assert (sealed.false_accept_rate, sealed.idle_limit_hours) == (0.05, None)
    assert_error(initialized.run("model", "accept", "--far", "0.5", "--yes"), 1, "operating point")


def test_doctor_says_who_vouches(initialized):
    assert "pinned" in initialized.run("doctor").stdout
