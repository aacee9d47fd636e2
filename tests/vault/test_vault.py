import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_unlock.errors import (
    AuthenticationError,
    EdgeUnlockError,
    KeySourceError,
    UnknownUserError,
    UserExistsError,
    UserNameError,
    VaultError,
    VaultExistsError,
    VaultMissingError,
    WrongKeyError,
)
from edge_unlock.vault import (
    Consent,
    KeyFile,
    ModelIdentity,
    Vault,
    container,
    store,
    transform,
    validate_user_name,
)

from .conftest import CONSENT, LINES, MODEL, fail, passphrase, use_everything, voice

SLOT_BYTES = container.HEADER_BYTES + 32 + 16  # the wrapped master key


def enrolled(vault: Vault) -> dict[str, np.ndarray]:
    return {template.user: template.embeddings for template in vault.templates(MODEL)}


def assert_is_home(vault: Vault) -> None:
    """Assert that the vault holds what the fixture ``home`` enrolled."""
    found = enrolled(vault)
    assert list(found) == ["Ana", "Bo"]
    np.testing.assert_allclose(found["Ana"], voice(1), atol=1e-6)
    np.testing.assert_allclose(found["Bo"], voice(2), atol=1e-6)


def test_what_was_enrolled_comes_back(home: Path, key: KeyFile) -> None:
    with Vault.open(home, key) as vault:
        assert_is_home(vault)
        entry = vault.users()[0]
        assert (entry.name, entry.utterances, entry.consent, entry.identity) == (
            "Ana",
            2,
            CONSENT,
            MODEL,
        )
        template = vault.template("Ana", MODEL)
        assert template.embeddings.dtype == np.float32
        assert not template.embeddings.flags.writeable
        np.testing.assert_allclose(np.linalg.norm(template.embeddings, axis=1), 1.0, atol=1e-6)
        with pytest.raises(UserExistsError):
            vault.enroll("Ana", voice(3), MODEL, CONSENT)
        with pytest.raises(UnknownUserError):
            vault.template("Cy", MODEL)
        vault.close()  # and once more on leaving
    with pytest.raises(VaultError):
        vault.users()


def test_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        home, key = tmp_path / "vault", KeyFile(tmp_path / "key")
        with Vault.create(home, key) as vault:
            vault.enroll("Ana", voice(1), MODEL, CONSENT)
            vault.audit.append("accepted")
            fail(vault, "Ana")
            vault.export(tmp_path / "moved", passphrase())
    finally:
        os.umask(before)
    for path in [home, *home.rglob("*"), key.path, tmp_path / "moved"]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_nothing_in_clear_tells_who_is_enrolled(home: Path) -> None:
    for path in home.rglob("*"):
        assert "Ana" not in path.name
        if path.is_file():
            assert b"Ana" not in path.read_bytes()


def test_create_and_open_say_what_is_there(home: Path, key: KeyFile, tmp_path: Path) -> None:
    assert Vault.exists(home)
    assert not Vault.exists(tmp_path / "none")
    unused = KeyFile(tmp_path / "unused")
    with pytest.raises(VaultExistsError):
        Vault.create(home, unused)
    assert not unused.path.exists()
    (tmp_path / "empty").mkdir(mode=0o700)
    for absent in ("none", "empty"):
        with pytest.raises(VaultMissingError):
            Vault.open(tmp_path / absent, key)


def test_remove_forgets_and_changes_the_master_key(home: Path, key: KeyFile) -> None:
    old_records = {path.name for path in (home / "records").iterdir()}
    with Vault.open(home, key) as vault, Vault.open(home, key) as other:
        with vault._store.reading() as snapshot:
            old_vmk = snapshot.vmk
        vault.remove("Ana")
        with vault._store.reading() as snapshot:
            assert snapshot.vmk != old_vmk
        assert list(enrolled(other)) == ["Bo"]  # seen at once by who had it open
        assert vault.audit.verify() == LINES + 1
    assert old_records.isdisjoint(path.name for path in (home / "records").iterdir())
    use_everything(home, key)


def test_rekey_shuts_out_the_old_key(home: Path, key: KeyFile) -> None:
    with Vault.open(home, key) as vault, Vault.open(home, key) as stale:
        vault.rekey(passphrase())
        assert_is_home(vault)
        with pytest.raises(WrongKeyError):
            stale.users()
    with pytest.raises(KeySourceError):
        Vault.open(home, key)
    assert Vault.key_source_kind(home) == "passphrase"
    with pytest.raises(WrongKeyError):
        Vault.open(home, passphrase("wrong horse battery"))
    with Vault.open(home, passphrase()) as vault:
        assert_is_home(vault)
        assert vault.audit.verify() == LINES + 1


def test_export_and_import(home: Path, key: KeyFile, tmp_path: Path) -> None:
    moved, there, new_key = tmp_path / "moved", tmp_path / "there", KeyFile(tmp_path / "key2")
    with Vault.open(home, key) as vault:
        vault.export(moved, passphrase())
        with pytest.raises(VaultExistsError):
            vault.export(moved, passphrase())
        before = vault.users()
    with pytest.raises(WrongKeyError):
        Vault.import_(there, moved, passphrase("wrong horse battery"), new_key)
    whole = moved.read_bytes()
    for bad in (whole[:-1], whole[:100], b"", whole + b"x", b"EUV1" + whole[4:]):
        moved.write_bytes(bad)
        with pytest.raises(AuthenticationError):
            Vault.import_(there, moved, passphrase(), new_key)
    for offset in range(0, len(whole), 29):
        altered = bytearray(whole)
        altered[offset] ^= 1
        moved.write_bytes(altered)
        with pytest.raises(VaultError):
            Vault.import_(there, moved, passphrase(), new_key)
    assert not there.exists()
    assert not new_key.path.exists()
    moved.write_bytes(whole)
    with Vault.import_(there, moved, passphrase(), new_key) as vault:
        assert_is_home(vault)
        assert vault.users() == before
    use_everything(there, new_key)


def test_a_failed_export_leaves_no_file(home: Path, key: KeyFile, tmp_path: Path) -> None:
    with Vault.open(home, key) as vault:
        with pytest.raises(KeySourceError):
            vault.export(tmp_path / "moved", passphrase("short"))
        with pytest.raises(VaultMissingError):
            vault.export(tmp_path / "nowhere" / "moved", passphrase())
    assert not (tmp_path / "moved").exists()


def test_the_rotation_keeps_cosines_and_hides_the_rest() -> None:
    here, there = bytes(32), b"x" * 32
    rows = voice(1, rows=6, size=64)
    first = transform.protect(rows, here, b"r" * 16)
    second = transform.protect(rows, there, b"r" * 16)
    np.testing.assert_allclose(first @ first.T, rows @ rows.T, atol=1e-5)
    np.testing.assert_allclose(transform.recover(first, here, b"r" * 16), rows, atol=1e-6)
    # The same voice in two vaults is no closer than two random directions in 64 dimensions are.
    for stored in (second, rows, transform.protect(rows, here, b"q" * 16)):
        assert np.abs(np.sum(first * stored, axis=1)).max() < 0.5
    matrix = transform.rotation(here, b"r" * 16, 64)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(64), atol=1e-12)


def test_the_rotation_is_the_same_everywhere() -> None:
    """Fixed, for a numpy that computed another matrix could not read old templates."""
    matrix = transform.rotation(bytes(range(32)), bytes(range(16)), 3)
    expected = [-0.5580863488187866, -0.49021213016695636, 0.6695010789381077]
    np.testing.assert_allclose(matrix[0], expected, atol=1e-9)


def test_the_other_cipher_is_read_too() -> None:
    context = container.Context("template", b"r" * 16)
    blob = container.seal(b"rows", b"k" * 32, context, aead_id=container.AES_256_GCM)
    assert container.unseal(blob, b"k" * 32, context) == b"rows"


def test_a_full_vault_can_go_on_counting_and_be_emptied(
    home: Path, key: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_USERS", 4)
    with Vault.open(home, key) as vault:
        with pytest.raises(VaultError, match="the vault is full"):
            for number in range(9):
                vault.enroll(f"user {number}", voice(3, 1), MODEL, CONSENT)
        assert len(vault.users()) == 4
        vault.enable("Ana")
        vault.remove("Bo")
        fail(vault, "Ana")
    use_everything(home, key)


def test_a_manifest_without_room_has_a_turn_left(home: Path, key: KeyFile) -> None:
    """Its turn takes a digit more now and then, also where there is no room for another name."""
    most = container.VAULT_FILE.max_length + SLOT_BYTES + container.HEADER_BYTES
    listed = 0
    with Vault.open(home, key) as vault:
        for number in range(200):
            vault.enroll(f"user {number}", voice(3, 1), MODEL, CONSENT)
            size = (home / "manifest.euv").stat().st_size
            if size < 4096 and number > 9:
                break
            listed = size
        free = most - listed
        assert 1024 > free >= 2 * len(str(2**53))  # of turn and generation


def test_too_much_is_refused_and_nothing_changes(home: Path, key: KeyFile) -> None:
    with Vault.open(home, key) as vault:
        with pytest.raises(VaultError, match="more than 65536"):
            vault.add("Ana", voice(3, rows=3000), MODEL)
        assert_is_home(vault)


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((0, 8)),
        np.zeros((2, 8)),
        np.full((2, 8), np.nan),
        np.full((2, 8), np.inf),
        voice(1, size=9),
        voice(1)[0],
        "text",
        [[1], [1, 2]],
    ],
)
def test_unusable_embeddings_are_refused(home: Path, key: KeyFile, rows: object) -> None:
    with Vault.open(home, key) as vault, pytest.raises(VaultError):
        vault.enroll("Cy", rows, MODEL, CONSENT)  # type: ignore[arg-type]


HOSTILE = ["", " ", ".", "..", "../x", "a/b", "a\\b", "-rf", ".hidden", "a\nb", "a\0b", "a" * 300]
HOSTILE += ["a ", "\u0301a", "a\u202eb", "\ud800", "*", "a\tb", "\u00e9" * 33, "'", "$(x)"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused(home: Path, key: KeyFile, name: str) -> None:
    with Vault.open(home, key) as vault:
        for use in (
            lambda: vault.enroll(name, voice(3), MODEL, CONSENT),
            lambda: vault.template(name, MODEL),
            lambda: vault.remove(name),
        ):
            with pytest.raises(UserNameError) as caught:
                use()
            assert str(caught.value).isascii()
            assert str(caught.value).isprintable()


@given(st.text())
def test_any_text_is_a_safe_name_or_refused(text: str) -> None:
    try:
        name = validate_user_name(text)
    except UserNameError as error:
        assert str(error).isascii() and str(error).isprintable()
        return
    assert 1 <= len(name.encode()) <= 64
    assert name.isprintable() and not set("/\\\0'\"$`*") & set(name)
    assert name[0] not in ".- "
    assert validate_user_name(name) == name == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize("name", ["Ana", "J. R. Smith-Jones_2", "Zo\u00eb", "\u5f20\u4f1f", "7"])
def test_ordinary_names_are_accepted(name: str) -> None:
    assert validate_user_name(unicodedata.normalize("NFD", name)) == name


@pytest.mark.parametrize(
    "make",
    [
        lambda: Consent("yesterday", "x"),
        lambda: Consent("2025-01-31T12:00:00+02:00", "x"),
        lambda: Consent("2025-01-31T12:00:00", "x"),
        lambda: Consent(CONSENT.when, "two\nlines"),
        lambda: Consent(CONSENT.when, ""),
        lambda: ModelIdentity(b"m", b"f" * 32, 8),
        lambda: ModelIdentity(b"m" * 32, b"f" * 32, 0),
        lambda: ModelIdentity(b"m" * 32, b"f" * 32, 8, "int8"),
    ],
)
def test_malformed_facts_are_refused(make: object) -> None:
    with pytest.raises(EdgeUnlockError):
        make()  # type: ignore[operator]
