import os
import shutil
from pathlib import Path

import pytest

from edge_unlock.errors import KeySourceError, VaultError, WrongKeyError
from edge_unlock.vault import KeyFile, KeySource, Vault
from edge_unlock.vault.keys import Kek
from tests.strange import KINDS, make_strange

from .conftest import CONSENT, MODEL, passphrase, use_everything, voice

OLD_KEY = bytes(range(32))


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    """A file for each vault, and the one that all of them had in 0.1.0."""
    return KeyFile(tmp_path / "keys" / "{vault}.key", tmp_path / "vault.key")


class SharedKeyFile(KeyFile):
    """As 0.1.0 made them: the key alone, for whichever vault names the file."""

    def new(self, vault_id: bytes) -> Kek:
        if not self.path.exists():
            self.path.write_bytes(OLD_KEY)
            self.path.chmod(0o600)
        return Kek(self.kek_id, bytes(28), OLD_KEY)

    def keep(self, vault_id: bytes, kek: Kek, present: Kek | None) -> None:
        pass


def old_vaults(tmp_path: Path, key: Path) -> list[Path]:
    """Two vaults that share a key file, each of Ana and Bo."""
    homes = [tmp_path / "first", tmp_path / "second"]
    for home in homes:
        with Vault.create(home, SharedKeyFile(key)) as vault:
            vault.enroll("Ana", voice(1), MODEL, CONSENT)
            vault.enroll("Bo", voice(2), MODEL, CONSENT)
    return homes


def opens(home: Path, key: KeyFile) -> bool:
    try:
        Vault.open(home, key).close()
    except KeySourceError:
        return False
    return True


def test_each_vault_has_a_key_of_its_own(tmp_path: Path, keys: KeyFile) -> None:
    for name in ("one", "two"):
        Vault.create(tmp_path / name, keys).close()
    assert len(list((tmp_path / "keys").iterdir())) == 2
    with Vault.open(tmp_path / "one", keys) as vault:
        vault.rekey(keys)
        vault.enroll("Ana", voice(1), MODEL, CONSENT)
        vault.remove("Ana")
    for name in ("one", "two"):
        assert opens(tmp_path / name, keys)


def test_the_key_of_another_vault_is_not_taken(home: Path, key: KeyFile, tmp_path: Path) -> None:
    before = key.path.read_bytes()
    with pytest.raises(KeySourceError, match="may open another vault") as caught:
        Vault.create(tmp_path / "other", key)
    assert "keyfile" in caught.value.hint
    assert not Vault.exists(tmp_path / "other")
    assert key.path.read_bytes() == before
    use_everything(home, key)


def test_a_key_of_0_1_0_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(OLD_KEY)
    path.chmod(0o600)
    with pytest.raises(KeySourceError, match="may open another vault"):
        Vault.create(tmp_path / "vault", KeyFile(path))
    with Vault.create(tmp_path / "vault", passphrase()) as vault, pytest.raises(KeySourceError):
        vault.rekey(KeyFile(path))
    Vault.open(tmp_path / "vault", passphrase()).close()
    assert path.read_bytes() == OLD_KEY


def test_the_key_of_another_vault_does_not_open(tmp_path: Path) -> None:
    keys = [KeyFile(tmp_path / name) for name in ("first", "second")]
    for number, key in enumerate(keys):
        Vault.create(tmp_path / str(number), key).close()
    with pytest.raises(WrongKeyError, match="another vault"):
        Vault.open(tmp_path / "0", keys[1])


def test_an_interrupted_creation_goes_on_with_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = KeyFile(tmp_path / "key")
    with monkeypatch.context() as patch:
        patch.setattr("edge_unlock.vault.store.Store._settle", interrupt)
        with pytest.raises(KeyboardInterrupt):
            Vault.create(tmp_path / "vault", key)
    assert key.path.exists()
    with pytest.raises(KeySourceError):  # of another home
        Vault.create(tmp_path / "other", key)
    Vault.create(tmp_path / "vault", key).close()
    assert opens(tmp_path / "vault", key)
    assert not list((tmp_path / "vault").glob(".new-*"))


class KeyChangedMeanwhile(KeyFile):
    """Another process changes the key once, after this one has read which key it is."""

    def __init__(self, path: Path, home: Path, following: KeySource) -> None:
        super().__init__(path)
        self._change: tuple[Path, KeySource] | tuple[()] = (home, following)

    def recover(self, vault_id: bytes, parameters: bytes) -> Kek:
        if self._change:
            (home, following), self._change = self._change, ()
            with Vault.open(home, KeyFile(self.path)) as vault:
                vault.rekey(following)
        return super().recover(vault_id, parameters)


def test_a_key_that_changes_while_the_vault_is_opened_is_found(home: Path, key: KeyFile) -> None:
    use_everything(home, KeyChangedMeanwhile(key.path, home, key))
    with pytest.raises(KeySourceError, match="opens by passphrase"):
        Vault.open(home, KeyChangedMeanwhile(key.path, home, passphrase()))


@pytest.mark.parametrize("path", ["/", ".", "..", "/dev/null"])
def test_a_path_that_can_be_no_key_file_is_refused(path: str, home: Path, tmp_path: Path) -> None:
    with pytest.raises(KeySourceError):
        Vault.create(tmp_path / "other", KeyFile(Path(path)))
    with pytest.raises(KeySourceError):
        Vault.open(home, KeyFile(Path(path)))


def test_an_id_that_was_planted_costs_no_other_vault_its_key(
    home: Path, key: KeyFile, tmp_path: Path
) -> None:
    """The id stands in the clear in each manifest and, by default, in the name of its key."""
    before = key.path.read_bytes()
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    planted = other / ".new-vault-id"
    planted.write_bytes(before[:16])
    planted.chmod(0o600)
    with pytest.raises(KeySourceError, match="may open another vault"):
        Vault.create(other, key)
    assert key.path.read_bytes() == before
    use_everything(home, key)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_two_old_homes_of_one_user_part_ways(tmp_path: Path, keys: KeyFile) -> None:
    """The default of 0.1.0: one key for all state directories of a user."""
    shared = tmp_path / "vault.key"
    first, second = old_vaults(tmp_path, shared)
    with Vault.open(first, keys) as vault:
        assert vault.key_may_be_shared
        vault.rekey(keys)
        assert not vault.key_may_be_shared
    assert opens(first, keys)
    assert opens(second, keys)
    with Vault.open(second, keys) as vault:
        vault.rekey(passphrase())
    assert opens(first, keys)
    Vault.open(second, passphrase()).close()
    assert shared.read_bytes() == OLD_KEY


def test_two_old_homes_of_one_named_key_part_ways(tmp_path: Path) -> None:
    """Two config.toml that name the same `keyfile`."""
    key = KeyFile(tmp_path / "key")
    first, second = old_vaults(tmp_path, key.path)
    with Vault.open(first, key) as vault:
        vault.remove("Ana")
        vault.rekey(key)
    assert opens(first, key)
    assert opens(second, key)  # by key.old
    with Vault.open(second, key) as vault:
        with pytest.raises(KeySourceError, match="may open another vault"):
            vault.rekey(key)
        vault.rekey(KeyFile(tmp_path / "its-own"))
    assert opens(second, KeyFile(tmp_path / "its-own"))
    assert opens(first, key)


@pytest.mark.parametrize("change", ["rekey", "remove", "to a passphrase"])
def test_the_former_key_is_destroyed(home: Path, key: KeyFile, tmp_path: Path, change: str) -> None:
    """An old copy of the vault does not open by what the key file holds now."""
    old_home = tmp_path / "copy"
    shutil.copytree(home, old_home)
    former = key.path.read_bytes()
    link = tmp_path / "inode"  # what had been written where the old file lay
    os.link(key.path, link)
    with Vault.open(home, key) as vault:
        if change == "rekey":
            vault.rekey(key)
        elif change == "remove":
            vault.remove("Ana")
        else:
            vault.rekey(passphrase())
        assert vault.users()
    assert not opens(old_home, key)
    assert former[16:] not in link.read_bytes()
    if change == "to a passphrase":
        assert not key.path.exists()
    else:
        assert former[16:] not in key.path.read_bytes()
        assert len(key.path.read_bytes()) == 48
        assert opens(home, key)


def test_a_passphrase_opens_old_copies_after_remove(tmp_path: Path) -> None:
    """Said in the README; this shows that it is so, and that rekey ends it."""
    home, copy = tmp_path / "vault", tmp_path / "copy"
    with Vault.create(home, passphrase()) as vault:
        vault.enroll("Ana", voice(1), MODEL, CONSENT)
        shutil.copytree(home, copy)
        vault.remove("Ana")
        with Vault.open(copy, passphrase()) as old:
            assert [entry.name for entry in old.users()] == ["Ana"]
        vault.rekey(passphrase("wholly other words now"))
    with pytest.raises(WrongKeyError):
        Vault.open(home, passphrase())
    Vault.open(copy, passphrase()).close()  # an old copy keeps the phrase that it had


def test_who_has_it_open_follows_a_renewed_key(home: Path, key: KeyFile) -> None:
    with Vault.open(home, key) as running, Vault.open(home, key) as vault:
        vault.remove("Ana")
        assert [entry.name for entry in running.users()] == ["Bo"]
        vault.rekey(key)
        running.audit.append("accepted")
        assert [entry.name for entry in running.users()] == ["Bo"]


def test_a_key_in_the_state_directory_is_told(home: Path, key: KeyFile, tmp_path: Path) -> None:
    with Vault.open(home, key) as vault:
        assert not vault.key_lies_within
        vault.rekey(KeyFile(home / "key"))
        assert vault.key_lies_within
    (tmp_path / "elsewhere").symlink_to(home)
    with Vault.open(home, KeyFile(tmp_path / "elsewhere" / "key")) as vault:
        assert vault.key_lies_within


@pytest.mark.parametrize("size", [0, 1, 31, 33, 47, 49, 79, 81, 2**20])
def test_another_size_is_no_key(home: Path, key: KeyFile, size: int) -> None:
    key.path.write_bytes(bytes(size))
    with pytest.raises(VaultError):
        Vault.open(home, key)


@pytest.mark.parametrize("kind", KINDS)
def test_a_strange_file_is_no_key(home: Path, tmp_path: Path, kind: str) -> None:
    key = KeyFile(make_strange(tmp_path / "strange", kind))
    with pytest.raises(KeySourceError) as caught:
        Vault.open(home, key)
    assert "\n" not in str(caught.value)
    with pytest.raises(KeySourceError):
        Vault.create(tmp_path / "other", key)


def test_parents_that_all_may_write_to_are_refused(home: Path, tmp_path: Path) -> None:
    loose = tmp_path / "loose"
    loose.mkdir()
    key = KeyFile(loose / "sub" / "key")
    with Vault.open(home, KeyFile(tmp_path / "key")) as vault:
        loose.chmod(0o777)
        with pytest.raises(KeySourceError, match="all users may write") as caught:
            vault.rekey(key)
        assert caught.value.hint == f"chmod o-w {loose}"
        loose.chmod(0o1777)  # as /tmp is
        vault.rekey(key)
    use_everything(home, key)
