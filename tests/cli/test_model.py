"""What decides is what the owner accepted: whatever lies in the configuration or on the disk."""

import hashlib
import json
import shutil

import pytest

from edge_unlock.encoder.package import shipped_package
from edge_unlock.vault import KeyFile, Vault
from tests.cli.conftest import assert_error


def edit(directory, change):
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


@pytest.fixture
def weakened(tmp_path):
    """The shipped package with a threshold that lets everybody in: the same network."""
    copy = shutil.copytree(shipped_package(), tmp_path / "weakened")
    edit(copy, lambda m: [point.update(threshold=-1.5) for point in m["operating_points"]])
    edit(copy, lambda m: m["nontarget"].update(offset=-1.5))
    return copy


@pytest.fixture
def crashing(tmp_path):
    """A package whose network is none, though its hash is right."""
    copy = shutil.copytree(shipped_package(), tmp_path / "crashing")
    data = b"TFL3" * 100
    (copy / "model.tflite").write_bytes(data)
    edit(copy, lambda m: m["model"].update(sha256=hashlib.sha256(data).hexdigest()))
    return copy


def assert_refused(result, *words):
    """An error whose line or hint has these words."""
    assert_error(result, 1)
    for word in words:
        assert word in result.stderr


def configure(installation, text):
    path = installation.home / "config.toml"
    path.write_text(text)
    path.chmod(0o600)


def policy(installation):
    with Vault.open(installation.home, KeyFile(installation.keyfile)) as vault:
        return vault.policy()


def test_a_weakened_copy_of_the_shipped_package_opens_nothing(enrolled, people, weakened):
    configure(enrolled, f'model = "{weakened}"\n')
    before = enrolled.state()
    for command in (("verify", "alice"), ("identify",), ("listen", "--once")):
        result = enrolled.run(*command, "--input", people["bob"][4])
        assert_refused(result, "not the one that the vault accepts", "edge-unlock model accept")
    assert_refused(enrolled.enroll("bob", people["bob"][:4]), "edge-unlock model accept")
    assert enrolled.state() == before
    doctor = enrolled.run("doctor").stdout
    assert "FAIL  model: this model package is not the one that the vault accepts" in doctor


def test_a_network_that_nobody_accepted_is_never_loaded(enrolled, people, crashing):
    result = enrolled.run("--model", crashing, "verify", "alice", "--input", people["alice"][4])
    assert_refused(result, "edge-unlock model accept")  # and not that it does not run


def test_accepting_shows_what_changes_asks_and_is_sealed(enrolled, people, weakened):
    accept = ("--model", weakened, "model", "accept")
    before = enrolled.state()
    asked = enrolled.run(*accept, stdin="n\n")
    assert asked.exit_code != 0 and enrolled.state() == before
    assert "far-1e-2 at -1.500" in asked.stdout and asked.stdout.count("thresholds:") == 2
    assert enrolled.run(*accept, "--yes").exit_code == 0
    assert b"policy accepted" in (enrolled.home / "audit.log").read_bytes()
    inputs = ("verify", "alice", "--input", people["alice"][4])
    assert enrolled.run("--model", weakened, *inputs).exit_code == 0
    assert_refused(enrolled.run(*inputs), "ships with this release", "model accept")
    assert enrolled.run("model", "accept", "--yes").exit_code == 0
    assert enrolled.run(*inputs).exit_code == 0


def test_no_rate_is_looser_than_the_accepted_one(enrolled, people):
    verify = ("verify", "alice", "--input", people["alice"][4])
    for looser in (("--far", "0.03"), ("--operating-point", "far-0.03")):
        assert_refused(enrolled.run(*verify, *looser), "looser", "model accept --far")
    assert_refused(enrolled.enroll("bob", people["bob"][:4], "--far", "0.03"), "looser")
    configure(enrolled, "far = 0.03\n")
    assert_refused(enrolled.run(*verify), "looser")
    assert enrolled.run(*verify, "--far", "0.005").exit_code in (0, 3)
    assert enrolled.run("model", "accept", "--far", "0.03", "--yes").exit_code == 0
    assert policy(enrolled).false_accept_rate == 0.03
    assert enrolled.run(*verify).exit_code == 0
    assert_refused(enrolled.run("model", "accept", "--far", "0.9", "--yes"), "0.9")


def test_the_accepted_idle_limit_holds_whatever_the_configuration_says(enrolled, people):
    accepted = enrolled.run("model", "accept", "--idle-limit-hours", "1e-9", "--yes")
    assert accepted.exit_code == 0, accepted.output
    configure(enrolled, "idle_limit_hours = 1000.0\n")
    assert enrolled.run("verify", "alice", "--input", people["alice"][4]).exit_code == 5
    shown = json.loads(enrolled.run("model", "show", "--json").stdout)
    assert shown["accepted"]["idle_limit_hours"] == 1e-9
    assert shown["accepted"]["manifest_sha256"] == shown["in_use"]["manifest_sha256"]


def test_a_voice_alone_suffices_for_a_login_only_once_that_was_warned_of_and_accepted(enrolled):
    assert policy(enrolled).flags == frozenset()
    asked = enrolled.run("model", "accept", "--allow-sole-factor", stdin="n\n")
    assert asked.exit_code != 0 and "WARNING" in asked.stderr and "recording" in asked.stderr
    assert policy(enrolled).flags == frozenset()
    assert enrolled.run("model", "accept", "--allow-sole-factor", "--yes").exit_code == 0
    assert policy(enrolled).flags == {"sole-factor"}
    assert "a voice alone, for a login: enough" in enrolled.run("model", "show").stdout
    # what else is accepted later says nothing of it
    assert enrolled.run("model", "accept", "--far", "0.002", "--yes").exit_code == 0
    assert policy(enrolled).flags == {"sole-factor"}
    assert "WARNING" not in enrolled.run("model", "accept", "--far", "0.003", "--yes").stderr
    assert enrolled.run("model", "accept", "--no-sole-factor", "--yes").exit_code == 0
    assert policy(enrolled).flags == frozenset()
    assert "a voice alone, for a login: not enough" in enrolled.run("model", "show").stdout


def test_a_vault_of_an_earlier_release_has_the_shipped_package(enrolled, people, weakened):
    with Vault.open(enrolled.home, KeyFile(enrolled.keyfile)) as vault:
        vault.accept(None)  # as they have none
    verify = ("verify", "alice", "--input", people["alice"][4])
    assert_refused(enrolled.run("--model", weakened, *verify), "was not accepted", "model accept")
    assert enrolled.run(*verify).exit_code == 0
    assert "pinned" in enrolled.run("doctor").stdout
    assert enrolled.enroll("bob", people["bob"][:3]).exit_code == 0  # which seals it
    assert (
        policy(enrolled).package.manifest_sha256.hex()
        == hashlib.sha256((shipped_package() / "manifest.json").read_bytes()).hexdigest()
    )


def test_the_policy_outlives_remove_and_rekey_and_an_import_has_its_own(
    enrolled, tmp_path, monkeypatch
):
    assert enrolled.run("model", "accept", "--far", "0.002", "--yes").exit_code == 0
    accepted = policy(enrolled)
    assert enrolled.run("rekey").exit_code == 0
    assert policy(enrolled) == accepted
    assert enrolled.run("remove", "alice", "--yes").exit_code == 0
    assert policy(enrolled) == accepted
    phrase = tmp_path / "phrase"
    phrase.write_text("correct horse battery staple")
    phrase.chmod(0o600)
    secret = {"EDGE_UNLOCK_PASSPHRASE_FILE": str(phrase)}
    assert enrolled.run("export", tmp_path / "file", **secret).exit_code == 0
    imported = enrolled.run("--home", tmp_path / "new", "import", tmp_path / "file", **secret)
    assert imported.exit_code == 0, imported.output
    shown = json.loads(enrolled.run("--home", tmp_path / "new", "model", "show", "--json").stdout)
    assert shown["accepted"] == shown["in_use"]


def test_a_new_vault_of_an_unknown_package_says_that_it_has_to_be_accepted(
    installation, people, weakened
):
    made = installation.run("--model", weakened, "init")
    assert made.exit_code == 0 and "was not accepted" in made.stderr
    enroll = ("enroll", "alice", "--consent", "--input", people["alice"][0])
    assert_refused(installation.run("--model", weakened, *enroll), "model accept")
