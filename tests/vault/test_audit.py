"""The log: what is altered is found and named, names are hidden, and it does not grow for ever."""

import hmac
import json
import shutil
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edge_unlock.errors import AuthenticationError, VaultError
from edge_unlock.vault import KeyFile, Vault, audit

from .conftest import LINES, MODEL, passphrase, voice

FILE_BYTES = 2000


@pytest.fixture
def long_log(home: Path, key: KeyFile, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The vault with so many more lines that the oldest files of its log were dropped."""
    monkeypatch.setattr(audit, "FILE_BYTES", FILE_BYTES)
    with Vault.open(home, key) as vault:
        for step in range(120):
            vault.audit.append("rejected", user="Ana", step=step)
    return home


def older(home: Path) -> list[Path]:
    """The older files of the log, oldest first."""
    return sorted(home.glob("audit.log.*"), reverse=True)


def reading_fails(home: Path, key: KeyFile, match: str) -> None:
    """Opening the vault finds what is at the end already."""
    for read in (lambda log: log.extent(), lambda log: list(log.entries())):
        with pytest.raises(AuthenticationError, match=match), Vault.open(home, key) as vault:
            read(vault.audit)


@pytest.mark.parametrize("value", [0.93, [1, 2], b"raw", np.float32(0.5)])
def test_scores_are_not_logged(home: Path, key: KeyFile, value: object) -> None:
    with Vault.open(home, key) as vault, pytest.raises(VaultError):
        vault.audit.append("accepted", score=value)  # type: ignore[arg-type]


def test_log_text_stays_on_its_line(home: Path, key: KeyFile) -> None:
    with Vault.open(home, key) as vault:
        vault.audit.append("rejected", user='x\n{"mac":"\u202e"}')
        with pytest.raises(VaultError, match="too long"):
            vault.audit.append("rejected", user="x" * 5000)
        assert vault.audit.verify() == LINES + 1
    assert (home / "audit.log").read_bytes().count(b"\n") == LINES + 1


def test_the_line_that_a_power_cut_tore_is_dropped(home: Path, key: KeyFile) -> None:
    with (home / "audit.log").open("ab") as log:
        log.write(b'{"line":3,"ti')
    with Vault.open(home, key) as vault:
        assert vault.audit.verify() == LINES
        vault.audit.append("accepted")
        assert vault.audit.verify() == LINES + 1


def test_an_audit_line_dropped_or_cut_off_is_found(home: Path, key: KeyFile) -> None:
    log = home / "audit.log"
    *before, first, second = log.read_bytes().splitlines(keepends=True)
    head = b"".join(before)
    for tail in (first, second, second + first, first + first + second, b""):
        log.write_bytes(head + tail)
        with pytest.raises(AuthenticationError), Vault.open(home, key) as vault:
            vault.audit.verify()


def test_every_altered_byte_is_found_and_its_line_named(long_log: Path, key: KeyFile) -> None:
    for path in (older(long_log)[3], long_log / "audit.log"):
        original = path.read_bytes()
        for offset in range(0, len(original), 17):
            line = original[:offset].count(b"\n") + 1
            altered = bytearray(original)
            altered[offset] ^= 1
            path.write_bytes(altered)
            reading_fails(long_log, key, f"^{path.name} was altered or cut at its line {line}$")
        path.write_bytes(original)


def test_the_last_line_is_checked_by_the_next_append_and_earlier_ones_are_not(
    home: Path, key: KeyFile
) -> None:
    log = home / "audit.log"
    with Vault.open(home, key) as vault:
        for _ in range(200):  # more than is read
            vault.audit.append("rejected", user="Ana")
        whole = log.read_bytes()
        lines = whole.splitlines(keepends=True)
        for offset in range(len(whole) - len(lines[-1]), len(whole)):
            log.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
            with pytest.raises(AuthenticationError, match=f"line {LINES + 200}$"):
                vault.audit.append("accepted")
        log.write_bytes(b"".join(lines).replace(b"rejected", b"accepted", 1))
        vault.audit.append("accepted")
    reading_fails(home, key, f"line {LINES - 1}$")


def test_older_files_are_kept_and_each_goes_on_from_the_one_before(
    long_log: Path, key: KeyFile
) -> None:
    files = [*older(long_log), long_log / "audit.log"]
    assert [path.name for path in files[::-1]] == [
        "audit.log",
        *(f"audit.log.{number}" for number in range(1, 9)),
    ]
    for before, after in pairwise(files):
        last = json.loads(before.read_bytes().splitlines()[-1])
        head = json.loads(after.read_bytes().splitlines()[0])
        assert (head["continues"], head["after"]) == (last["line"], last["mac"])
        assert before.stat().st_size <= FILE_BYTES
        assert before.stat().st_mode & 0o777 == 0o600
    with Vault.open(long_log, key) as vault:
        extent = vault.audit.extent()
        shown = list(vault.audit.entries())
    assert (extent.lines, extent.files) == (LINES + 120, 9) and 1 < extent.first < 100
    assert [entry.line for entry in shown] == list(range(extent.first, LINES + 121))


@pytest.mark.parametrize("gone", [(8,), (8, 7, 6), (3,), (1,), range(1, 9)])
def test_older_files_may_be_moved_away(long_log: Path, key: KeyFile, gone: list[int]) -> None:
    for number in gone:
        (long_log / f"audit.log.{number}").unlink()
    youngest_left = (long_log / f"audit.log{f'.{min(gone) - 1}' if min(gone) > 1 else ''}").open()
    if 8 in gone and len(gone) < 8:  # none is missing among those that are left
        youngest_left = older(long_log)[0].open()
    with youngest_left:
        first = json.loads(youngest_left.readline())["continues"] + 1
    with Vault.open(long_log, key) as vault:
        extent = vault.audit.extent()
        assert (extent.first, extent.lines) == (first, LINES + 120)
        for _ in range(10):  # and the log goes on, into new files
            vault.audit.append("accepted", user="Bo")
        assert vault.audit.extent().lines == LINES + 130


def test_an_older_file_that_is_cut_doubled_or_exchanged_is_found(
    long_log: Path, key: KeyFile
) -> None:
    third, second = long_log / "audit.log.3", long_log / "audit.log.2"
    whole = third.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in (1, 2):
        third.write_bytes(b"".join(lines[:-cut]))
        line = len(lines) - cut + 1
        reading_fails(long_log, key, f"^audit.log.3 was altered or cut at its line {line}$")
    third.write_bytes(whole[:-20])
    reading_fails(long_log, key, f"^audit.log.3 .* line {len(lines)}$")
    third.write_bytes(whole)
    kept = second.read_bytes()
    second.write_bytes(long_log.joinpath("audit.log.4").read_bytes())
    reading_fails(long_log, key, "^audit.log.2 .* line 1$")
    second.write_bytes(kept)
    shutil.move(third, long_log / "other")
    shutil.move(second, third)
    shutil.move(long_log / "other", second)
    reading_fails(long_log, key, "^audit.log.4 was altered or cut at its line")  # after it


@pytest.mark.parametrize("spoil", [b"", b"x\n", b'{"continues":9,"after":"00"}\n'])
def test_whatever_becomes_of_an_older_file_decisions_go_on(
    long_log: Path, key: KeyFile, spoil: bytes
) -> None:
    (long_log / "audit.log.1").write_bytes(spoil)
    with Vault.open(long_log, key) as vault:
        for _ in range(10):
            vault.audit.append("accepted", user="Bo")


def test_a_whole_log_put_back_behind_its_sealed_end_is_found(long_log: Path, key: KeyFile) -> None:
    log = long_log / "audit.log"
    for path in (long_log / "audit.log.1", long_log / "audit.log.2"):
        log.write_bytes(path.read_bytes())
        reading_fails(long_log, key, "audit.log")
        with pytest.raises(AuthenticationError), Vault.open(long_log, key) as vault:
            vault.audit.append("accepted")


def test_names_are_read_by_the_owner_alone(home: Path, key: KeyFile) -> None:
    with Vault.open(home, key) as vault:
        vault.audit.append("rejected", subject="*", user="Ana")
        vault.audit.append("rejected", subject="Жанна", user="Жанна")
        vault.remove("Ana")
        shown = [entry.fields for entry in vault.audit.entries()]
    text = (home / "audit.log").read_text()
    for name in ('"Ana"', '"Bo"', "Жанна", "\\u0416"):  # quoted: base64 may hold any letters
        assert name not in text
    assert {"subject": "*", "user": "Ana"} in shown
    assert {"subject": "Жанна", "user": "Жанна"} in shown
    named = [json.loads(line)["fields"].get("user") for line in text.splitlines()]
    first, _, third = list(filter(None, named))[:3]  # enrolled Ana, Bo, rejected Ana
    assert first == third and len(first) == 32  # the same person, whoever it is
    assert sha256(b"Ana").hexdigest()[:32] != first


def test_the_length_of_a_sealed_name_tells_little(home: Path, key: KeyFile) -> None:
    with Vault.open(home, key) as vault:
        for name in ("Bo", "Maximiliana"):
            vault.audit.append("accepted", user=name)
    short, long = (home / "audit.log").read_bytes().splitlines()[-2:]
    assert len(short) == len(long)


def test_the_names_of_one_vault_are_others_in_another(tmp_path: Path) -> None:
    aliases = set()
    for number in range(2):
        home = tmp_path / str(number)
        with Vault.create(home, KeyFile(tmp_path / f"key{number}")) as vault:
            vault.audit.append("accepted", user="Ana")
        line = (home / "audit.log").read_bytes().splitlines()[-1]
        aliases.add(json.loads(line)["fields"]["user"])
    assert len(aliases) == 2


def test_lines_with_names_in_clear_as_they_were_are_read_on(home: Path, key: KeyFile) -> None:
    """A log of the first release, which goes on in today's format."""
    with Vault.open(home, key) as vault:
        with vault._store.writing() as snapshot:
            chain_key = snapshot.journal_key("audit chain")
            mac, size = bytes(32), 0
            with (home / "audit.log").open("wb") as log:
                for number in (1, 2):
                    body = b'{"line":%d,"time":"t","event":"accepted","fields":{"user":"Ana"}}'
                    body %= number
                    mac = hmac.digest(chain_key, mac + body, sha256)
                    size += log.write(body[:-1] + b',"mac":"' + mac.hex().encode() + b'"}\n')
            packed = (2).to_bytes(8, "big") + size.to_bytes(8, "big") + mac
            vault.audit._end.save(snapshot, packed)
        vault.audit.append("accepted", user="Bo")
        assert vault.audit.verify() == 3
        shown = [entry.fields["user"] for entry in vault.audit.entries()]
    assert shown == ["Ana", "Ana", "Bo"]


def test_what_is_done_to_the_vault_is_logged(home: Path, key: KeyFile, tmp_path: Path) -> None:
    def told(vault: Vault) -> list[tuple[str, object]]:
        entries = vault.audit.entries()
        return [(entry.event, next(iter(entry.fields.values()), None)) for entry in entries]

    with Vault.open(home, key) as vault:
        vault.learn_place(voice(5, rows=4), 0.1, "", MODEL)
        vault.forget_place()
        assert not vault.forget_place()
        vault.export(tmp_path / "moved", passphrase())
        done = [("place learned", 4), ("place forgotten", None), ("exported", 2)]
        assert [line for line in told(vault) if line in done] == done
    there, new_key = tmp_path / "there", KeyFile(tmp_path / "key2")
    with Vault.import_(there, tmp_path / "moved", passphrase(), new_key) as vault:
        assert ("imported", 2) in told(vault)


def test_there_is_no_export_where_none_can_be_logged(
    home: Path, key: KeyFile, tmp_path: Path
) -> None:
    with Vault.open(home, key) as vault:
        (home / "audit.log").write_bytes(b"")
        with pytest.raises(AuthenticationError):
            vault.export(tmp_path / "moved", passphrase())
    assert not (tmp_path / "moved").exists()
