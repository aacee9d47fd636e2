"""Vaults of many: templates share records, and a record lists who is enrolled."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_unlock.errors import AuthenticationError, UserExistsError, VaultError
from edge_unlock.vault import Consent, KeyFile, ModelIdentity, Vault, transfer
from edge_unlock.vault.attempts import MOST_NAMED, uptime
from edge_unlock.vault.record import Member, UserEntry

from .conftest import CONSENT, MODEL, SIZE, passphrase, voice

MANY = 700
OTHER_MODEL = ModelIdentity(b"o" * 32, b"f" * 32, SIZE)
WHEN = "2025-01-31T12:00:00+00:00"


def made(count: int = MANY) -> list[Member]:
    """Made users, of one to three utterances, some of another model."""
    return [
        (
            UserEntry(
                f"user {number:04}",
                WHEN,
                WHEN,
                1 + number % 3,
                CONSENT,
                OTHER_MODEL if number >= count - 10 else MODEL,
                "far-1e-3" if number % 5 == 0 else None,
            ),
            voice(number, 1 + number % 3),
        )
        for number in range(count)
    ]


@pytest.fixture
def many(tmp_path: Path, key: KeyFile, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """A vault of ``MANY``, on several shelves."""
    monkeypatch.setattr("edge_unlock.vault.records._SHELF_BYTES", 4096)
    transfer.write(tmp_path / "export", made(), passphrase())
    home = tmp_path / "vault"
    with Vault.import_(home, tmp_path / "export", passphrase(), key) as vault:
        yield vault


def records(vault: Vault) -> list[Path]:
    return list((vault._store.home.path / "records").iterdir())


def assert_holds(vault: Vault, members: list[Member]) -> None:
    """Say that these are enrolled, and nobody else."""
    assert vault.users() == sorted((entry for entry, _ in members), key=lambda one: one.name)
    templates = {one.user: one for one in vault.templates(MODEL)}
    expected = {entry.name: rows for entry, rows in members if entry.identity == MODEL}
    assert list(templates) == sorted(expected)
    for name, rows in expected.items():
        np.testing.assert_allclose(templates[name].embeddings, rows, atol=1e-6)


def test_what_was_imported_is_there_in_few_files(many: Vault, key: KeyFile) -> None:
    assert_holds(many, made())
    assert len(records(many)) < MANY / 20
    with Vault.open(many._store.home.path, key) as again:
        assert_holds(again, made())
        one = again.template("user 0007", MODEL)
        np.testing.assert_allclose(one.embeddings, voice(7, 2), atol=1e-6)


def test_each_change_holds(many: Vault, key: KeyFile) -> None:
    members = made()
    many.enroll("Zoe", voice(1), MODEL, CONSENT)
    many.remove("user 0003")
    many.enroll("user 0004", voice(9, 3), MODEL, CONSENT, replace=True)
    many.rekey(KeyFile(many._store.home.path.parent / "another"))
    found = {one.user: one for one in many.templates(MODEL)}
    assert "user 0003" not in found and len(many.users()) == MANY
    np.testing.assert_allclose(found["Zoe"].embeddings, voice(1), atol=1e-6)
    np.testing.assert_allclose(found["user 0004"].embeddings, voice(9, 3), atol=1e-6)
    np.testing.assert_allclose(found["user 0005"].embeddings, members[5][1], atol=1e-6)
    with pytest.raises(UserExistsError):
        many.enroll("user 0009", voice(1), MODEL, CONSENT)
    with pytest.raises(UserExistsError):
        many.enroll("User 0009", voice(1), MODEL, CONSENT)


def test_an_attempt_writes_neither_templates_nor_the_list(many: Vault) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in records(many)}
    with many.turn() as turn:
        attempts = turn.attempts.at(uptime()).charge([], turn.enrolled)
        turn.charge(attempts)
        turn.finish(attempts.charge(["user 0001"]).failing(), "rejected")
    assert {path.name: path.stat().st_mtime_ns for path in records(many)} == before
    assert (many._store.home.path / "state.eus").stat().st_size < 16 * 1024


def test_everybody_may_have_a_bucket(many: Vault, key: KeyFile) -> None:
    with many.turn() as turn:
        attempts = turn.attempts.at(uptime())
        for name in turn.enrolled:
            attempts = attempts.accepting(name, WHEN).charge([name], turn.enrolled)
        turn.charge(attempts)
        turn.finish(attempts, "rejected")
    assert (many._store.home.path / "state.eus").stat().st_size > 64 * 1024
    with Vault.open(many._store.home.path, key) as again, again.turn() as turn:
        assert len(turn.attempts.buckets) == MANY + 1


def test_enabling_everybody_of_many_forgets_all_buckets(many: Vault) -> None:
    assert MANY > MOST_NAMED
    with many.turn() as turn:
        attempts = turn.attempts.at(uptime()).charge(["user 0001"])
        turn.charge(attempts)
        turn.finish(attempts, "rejected")
    many.enable()
    with many.turn() as turn:
        attempts = turn.attempts.at(uptime())
        assert not attempts.buckets
        attempts.check("user 0001", idle_limit_h=1.0)


def test_every_altered_byte_is_noticed(many: Vault, key: KeyFile) -> None:
    rng = np.random.default_rng(0)
    for path in records(many):
        blob = path.read_bytes()
        for spoiled in (
            blob[: len(blob) - 1],
            blob + b"x",
            _flipped(blob, int(rng.integers(len(blob)))),
        ):
            path.write_bytes(spoiled)
            with pytest.raises(VaultError), Vault.open(many._store.home.path, key) as again:
                again.templates(MODEL)
                again.templates(OTHER_MODEL)
        path.write_bytes(blob)
    with Vault.open(many._store.home.path, key) as again:
        assert_holds(again, made())


def test_a_name_that_nobody_bears_takes_a_shelf_too(many: Vault) -> None:
    names = ("user 0007", "Nobody")
    with many.turn() as turn:
        for name in names:
            assert turn.template(name, MODEL).is_decoy == (name == "Nobody")
    for path in records(many):
        path.write_bytes(b"spoiled")
    with many.turn() as turn:
        for name in names:
            with pytest.raises(AuthenticationError):
                turn.template(name, MODEL)


def test_a_shelf_in_the_place_of_another_is_noticed(many: Vault) -> None:
    shelves = [path for path in records(many) if path.stat().st_size > 4096][:2]
    one, other = (path.read_bytes() for path in shelves)
    shelves[0].write_bytes(other)
    shelves[1].write_bytes(one)
    with pytest.raises(AuthenticationError, match="altered or is an old one"):
        many.templates(MODEL)


def test_an_older_list_is_noticed(many: Vault, key: KeyFile) -> None:
    before = {path: path.read_bytes() for path in records(many)}
    many.enroll("Zoe", voice(1), MODEL, CONSENT)
    new = [path for path in records(many) if path not in before]
    gone = [path for path in before if not path.exists()]
    assert len(gone) == 1  # the list
    longest = max(new, key=lambda path: path.stat().st_size)
    longest.write_bytes(before[gone[0]])
    with pytest.raises(AuthenticationError, match="the list of users"):
        Vault.open(many._store.home.path, key)


def test_who_is_left_of_many_is_stored_as_few_are(tmp_path: Path, key: KeyFile) -> None:
    transfer.write(tmp_path / "export", made(140), passphrase())
    home = tmp_path / "vault"
    with Vault.import_(home, tmp_path / "export", passphrase(), key) as vault:
        assert len(records(vault)) < 5
        assert (home / "manifest.euv").stat().st_size < 2048
        for entry in vault.users()[100:]:
            vault.remove(entry.name)
    with Vault.open(home, key) as vault:
        assert_holds(vault, made(140)[:100])
        assert len(records(vault)) == 100
        assert (home / "manifest.euv").stat().st_size > 2**15


def test_one_by_one_they_grow_beyond_the_manifest(tmp_path: Path, key: KeyFile) -> None:
    home = tmp_path / "vault"
    consent = Consent(WHEN, "x" * 200)
    with Vault.create(home, key) as vault:
        for number in range(110):
            vault.enroll(f"user {number:04}", voice(number), MODEL, consent)
    with Vault.open(home, key) as vault:
        assert (home / "manifest.euv").stat().st_size < 2048
        assert len(records(vault)) == 111
        templates = vault.templates(MODEL)
        np.testing.assert_allclose(templates[7].embeddings, voice(7), atol=1e-6)
        assert {entry.consent for entry in vault.users()} == {consent}


def _flipped(blob: bytes, place: int) -> bytes:
    return blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :]
