import json
import shutil
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import assert_error, write_secret
from tests.strange import make_strange

PHRASE = "four unrelated words here"


def test_init_makes_a_private_vault_once(installation):
    assert installation.run("init").exit_code == 0
    assert stat.S_IMODE(installation.home.stat().st_mode) == 0o700
    assert stat.S_IMODE(installation.keyfile.stat().st_mode) == 0o600
    before = installation.state()
    assert_error(installation.run("init"), 1)
    assert installation.state() == before


def test_list_and_remove(enrolled, people):
    enrolled.enroll("bob", people["bob"][:3])
    assert [line.split()[0] for line in enrolled.run("list").stdout.splitlines()] == [
        "alice",
        "bob",
    ]
    assert enrolled.run("remove", "alice", stdin="n\n").exit_code == 1
    assert enrolled.run("remove", "alice", "--yes").exit_code == 0
    assert "alice" not in enrolled.run("list").stdout
    assert enrolled.run("verify", "bob", "--input", people["bob"][4]).exit_code == 0
    assert_error(enrolled.run("remove", "alice", "--yes"), 1, "alice")


def test_a_passphrase_is_asked_for_and_checked(installation, people):
    created = installation.run("init", "--key-source", "passphrase", stdin=f"{PHRASE}\n{PHRASE}\n")
    assert created.exit_code == 0
    assert PHRASE not in created.output
    assert installation.run("list", stdin=f"{PHRASE}\n").exit_code == 0
    assert_error(installation.run("list", stdin="another phrase of words\n"), 1)
    weak = installation.run("rekey", "--key-source", "passphrase", stdin=f"{PHRASE}\nabc\nabc\n")
    assert_error(weak, 1)
    assert installation.run("list", stdin=f"{PHRASE}\n").exit_code == 0


def test_a_passphrase_may_come_from_a_file(installation, tmp_path):
    old = write_secret(tmp_path / "old", f"{PHRASE}\n")
    write_secret(tmp_path / "new", "other words altogether now\n")
    new = {"EDGE_UNLOCK_NEW_PASSPHRASE_FILE": str(tmp_path / "new")}
    assert installation.run("init", "--key-source", "passphrase", **old).exit_code == 0
    rekeyed = installation.run("rekey", "--key-source", "passphrase", **old, **new)
    assert rekeyed.exit_code == 0
    assert_error(installation.run("list", **old), 1)
    opened = installation.run("list", EDGE_UNLOCK_PASSPHRASE_FILE=str(tmp_path / "new"))
    assert opened.exit_code == 0
    missing = installation.run("list", EDGE_UNLOCK_PASSPHRASE_FILE=str(tmp_path / "none"))
    assert_error(missing, 1, "passphrase")


def test_a_passphrase_file_may_come_from_any_editor(installation, tmp_path):
    written = (PHRASE, f"{PHRASE}\r\n", f"\ufeff{PHRASE}\r\n", f"{PHRASE} \n")
    files = [write_secret(tmp_path / str(n), text) for n, text in enumerate(written)]
    assert installation.run("init", "--key-source", "passphrase", **files[0]).exit_code == 0
    for file in files:
        assert installation.run("list", **file).exit_code == 0
    assert installation.run("list", stdin=f"{PHRASE} \n").exit_code == 0  # typed, likewise


def test_an_export_opens_elsewhere(enrolled, people, tmp_path):
    phrase = write_secret(tmp_path / "phrase", PHRASE)
    backup = tmp_path / "backup.eux"
    assert enrolled.run("export", backup, **phrase).exit_code == 0
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    elsewhere = {"EDGE_UNLOCK_HOME": str(tmp_path / "elsewhere")}
    assert enrolled.run("import", backup, **phrase, **elsewhere).exit_code == 0
    arguments = ("verify", "alice", "--input", people["alice"][4])
    assert enrolled.run(*arguments, **elsewhere).exit_code == 0
    assert_error(enrolled.run("import", backup, **phrase, **elsewhere), 1)
    write_secret(tmp_path / "phrase", "not the phrase at all")
    third = {"EDGE_UNLOCK_HOME": str(tmp_path / "third")}
    assert_error(enrolled.run("import", backup, **phrase, **third), 1)
    assert not (tmp_path / "third" / "manifest.euv").exists()


def test_rekey_changes_what_opens_the_vault(enrolled, people, tmp_path):
    phrase = write_secret(tmp_path / "phrase", PHRASE)
    assert enrolled.run("rekey", "--key-source", "passphrase", **phrase).exit_code == 0
    assert not list(enrolled.keys.iterdir())  # the key file went with its purpose
    assert enrolled.run("verify", "alice", "--input", people["alice"][4], **phrase).exit_code == 0


def test_an_altered_vault_is_refused(enrolled, people):
    record = next((enrolled.home / "records").iterdir())
    data = bytearray(record.read_bytes())
    data[-1] ^= 1
    record.write_bytes(data)
    assert_error(enrolled.run("verify", "alice", "--input", people["alice"][4]), 1)


def test_list_json_is_a_line_a_user(enrolled):
    lines = enrolled.run("list", "--json").stdout.splitlines()
    assert [json.loads(line)["user"] for line in lines] == ["alice"]


def test_rekey_of_one_state_directory_leaves_others_readable(installation, tmp_path):
    """Two homes of one user, who has one configuration directory."""
    other = {"EDGE_UNLOCK_HOME": str(tmp_path / "other")}
    assert installation.run("init").exit_code == 0
    assert installation.run("init", **other).exit_code == 0
    assert installation.run("rekey").exit_code == 0
    phrase = write_secret(tmp_path / "phrase", PHRASE)
    assert installation.run("list", **other).exit_code == 0
    assert installation.run("rekey", "--key-source", "passphrase", **phrase, **other).exit_code == 0
    assert installation.run("list").exit_code == 0
    assert len(list(installation.keys.iterdir())) == 1


def test_what_an_interrupted_rekey_left_is_destroyed_by_the_next_command(installation, tmp_path):
    assert installation.run("init").exit_code == 0
    former = installation.keyfile
    copy = tmp_path / "copy"
    shutil.copy2(former, copy)
    phrase = write_secret(tmp_path / "phrase", PHRASE)
    assert installation.run("rekey", "--key-source", "passphrase", **phrase).exit_code == 0
    copy.rename(former)  # as it was the moment after the vault had changed
    assert installation.run("list", **phrase).exit_code == 0
    assert not former.exists()


def test_a_key_of_0_1_0_goes_on_working_and_is_left(installation, tmp_path):
    vectors = Path(__file__).parents[1] / "vault" / "vectors" / "v1"
    shutil.copytree(vectors / "keyfile", installation.home)
    for path in [installation.home, *installation.home.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    shared = installation.keys.parent / "vault.key"
    shared.parent.mkdir(parents=True)
    shutil.copy(vectors / "keyfile.key", shared)
    shared.chmod(0o600)
    assert "anna" in installation.run("list").stdout
    removed = installation.run("remove", "anna", "--yes")
    assert removed.exit_code == 0
    assert "may open other vaults" in removed.stderr
    assert shared.exists() and installation.keyfile.exists()
    again = installation.run("rekey")
    assert again.exit_code == 0 and not again.stderr


def test_a_key_in_the_state_directory_is_warned_of(installation):
    installation.home.mkdir(mode=0o700)
    config = installation.home / "config.toml"
    config.write_text(f'keyfile = "{installation.home}/key"\n')
    result = installation.run("init")
    assert result.exit_code == 0
    assert "warning" in result.stderr and "keyfile" in result.stderr
    vault = json.loads(installation.run("doctor", "--json").stdout.splitlines()[2])
    assert vault["check"] == "vault" and "protects nothing" in vault["detail"] and vault["hint"]


@pytest.mark.parametrize("kind", ["fifo", "directory", "device", "huge", "latin-1", "socket"])
def test_a_strange_passphrase_file_ends_in_a_line(installation, tmp_path, kind):
    path = make_strange(tmp_path / "phrase", kind)
    name = {"EDGE_UNLOCK_PASSPHRASE_FILE": str(path)}
    assert_error(installation.run("init", "--key-source", "passphrase", **name), 1, "no passphrase")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_passphrase_file_that_others_read_is_refused(installation, tmp_path, mode):
    phrase = write_secret(tmp_path / "phrase", PHRASE)
    (tmp_path / "phrase").chmod(mode)
    result = installation.run("init", "--key-source", "passphrase", **phrase)
    assert_error(result, 1, "open to other users")
    assert f"chmod go= {tmp_path / 'phrase'}" in result.stderr
