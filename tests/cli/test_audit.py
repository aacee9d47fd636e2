"""``audit``: names for the owner, and the line that was altered."""

import json

import pytest

from tests.cli.conftest import assert_error


def test_the_owner_reads_who_was_let_in(enrolled, people):
    enrolled.run("verify", "alice", "--input", people["alice"][4])
    enrolled.run("verify", "alice", "--input", people["bob"][4])
    assert b"alice" not in enrolled.state()["audit.log"]
    lines = [
        json.loads(line)
        for line in enrolled.run("audit", "show", "--json").stdout.split("\n")
        if line
    ]
    assert [(line["event"], line["fields"].get("user")) for line in lines][-2:] == [
        ("accepted", "alice"),
        ("rejected", "alice"),
    ]
    assert [line["line"] for line in lines] == list(range(1, len(lines) + 1))
    last = enrolled.run("audit", "show", "--last", 1).stdout
    assert len(last.splitlines()) == 1 and "rejected" in last and "user=alice" in last
    assert enrolled.run("remove", "alice", "--yes").exit_code == 0
    assert "user=alice" in enrolled.run("audit", "show").stdout


def test_a_log_that_was_altered_is_named_by_its_line(enrolled, people):
    for name in ("alice", "bob", "alice"):
        enrolled.run("verify", "alice", "--input", people[name][4])
    whole = enrolled.run("audit", "verify")
    assert whole.exit_code == 0 and whole.stdout.startswith("whole: ")
    log = enrolled.home / "audit.log"
    lines = log.read_bytes().splitlines(keepends=True)
    bad = len(lines) - 1
    lines[bad - 1] = lines[bad - 1].replace(b"rejected", b"accepted")
    log.write_bytes(b"".join(lines))
    assert_error(
        enrolled.run("audit", "verify"), 1, f"audit.log was altered or cut at its line {bad}"
    )
    shown = enrolled.run("audit", "show")
    assert_error(shown, 1, f"line {bad}")
    assert len(shown.stdout.splitlines()) == bad - 1


def test_a_name_that_a_terminal_would_obey_is_shown_escaped(enrolled):
    from edge_unlock.vault import KeyFile, Vault

    with Vault.open(enrolled.home, KeyFile(enrolled.keyfile)) as vault:
        vault.audit.append("rejected", user="\x1b[2J")
    assert "user='\\x1b[2J'" in enrolled.run("audit", "show").stdout


@pytest.mark.parametrize(
    ("program", "event", "status"),
    [
        (("true",), "unlock done", None),
        (("sh", "-c", "exit 7"), "unlock failed", 7),
        (("sleep", "60"), "unlock timed out", None),
    ],
)
def test_what_became_of_the_unlock_command_is_logged(enrolled, people, program, event, status):
    (enrolled.home / "config.toml").write_text("action_timeout_s = 0.5\n")
    (enrolled.home / "config.toml").chmod(0o600)
    said = ("--input", people["bob"][4], "--input", people["alice"][4])
    enrolled.run("listen", *said, "--on-unlock", *program)
    *_, accepted, unlocked = map(
        json.loads, enrolled.run("audit", "show", "--json").stdout.splitlines()
    )
    assert accepted["event"] == "accepted"
    assert unlocked["event"] == event and unlocked["fields"].get("status") == status
    assert unlocked["fields"]["user"] == "alice"
