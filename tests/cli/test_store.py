import json
import stat

from tests.cli.conftest import assert_error

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
    (tmp_path / "old").write_text(f"{PHRASE}\n")
    (tmp_path / "new").write_text("other words altogether now\n")
    old = {"EDGE_UNLOCK_PASSPHRASE_FILE": str(tmp_path / "old")}
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
    for number, text in enumerate(written):
        (tmp_path / str(number)).write_bytes(text.encode())
    files = [{"EDGE_UNLOCK_PASSPHRASE_FILE": str(tmp_path / str(n))} for n in range(len(written))]
    assert installation.run("init", "--key-source", "passphrase", **files[0]).exit_code == 0
    for file in files:
        assert installation.run("list", **file).exit_code == 0
    assert installation.run("list", stdin=f"{PHRASE} \n").exit_code == 0  # typed, likewise


def test_an_export_opens_elsewhere(enrolled, people, tmp_path):
    secret = tmp_path / "phrase"
    secret.write_text(PHRASE)
    phrase = {"EDGE_UNLOCK_PASSPHRASE_FILE": str(secret)}
    backup = tmp_path / "backup.eux"
    assert enrolled.run("export", backup, **phrase).exit_code == 0
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    elsewhere = {"EDGE_UNLOCK_HOME": str(tmp_path / "elsewhere")}
    assert enrolled.run("import", backup, **phrase, **elsewhere).exit_code == 0
    arguments = ("verify", "alice", "--input", people["alice"][4])
    assert enrolled.run(*arguments, **elsewhere).exit_code == 0
    assert_error(enrolled.run("import", backup, **phrase, **elsewhere), 1)
    secret.write_text("not the phrase at all")
    third = {"EDGE_UNLOCK_HOME": str(tmp_path / "third")}
    assert_error(enrolled.run("import", backup, **phrase, **third), 1)
    assert not (tmp_path / "third" / "manifest.euv").exists()


def test_rekey_changes_what_opens_the_vault(enrolled, people, tmp_path):
    secret = tmp_path / "phrase"
    secret.write_text(PHRASE)
    phrase = {"EDGE_UNLOCK_PASSPHRASE_FILE": str(secret)}
    assert enrolled.run("rekey", "--key-source", "passphrase", **phrase).exit_code == 0
    enrolled.keyfile.unlink()
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
