"""Whatever is done to the files, nothing that was altered is used."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from edge_unlock import files
from edge_unlock.errors import (
    AuthenticationError,
    EdgeUnlockError,
    KeySourceError,
    StaleTemplateError,
    VaultError,
)
from edge_unlock.vault import KeyFile, ModelIdentity, Vault, container
from edge_unlock.vault.snapshot import Snapshot

from .conftest import CONSENT, MODEL, SIZE, passphrase, use_everything, voice

SLOT_BYTES = container.HEADER_BYTES + 32 + 16  # the wrapped master key, first in the manifest
FILES = 5
ID_OFFSETS = (4, 5, 6)  # version, AEAD id, KEK id: a later release may write others


def vault_files(home: Path) -> list[Path]:
    found = sorted(path for path in home.rglob("*") if path.is_file())
    assert len(found) == FILES  # manifest, state, log, two records
    return found


@pytest.mark.parametrize("index", range(FILES))
@pytest.mark.parametrize("mask", [0x01, 0xFF])
def test_any_flipped_byte_is_refused(home: Path, key: KeyFile, index: int, mask: int) -> None:
    path = vault_files(home)[index]
    original = path.read_bytes()
    for offset in range(len(original)):
        altered = bytearray(original)
        altered[offset] ^= mask
        path.write_bytes(altered)
        is_id = path.suffix != ".log" and (
            offset in ID_OFFSETS or (path.suffix == ".euv" and offset - SLOT_BYTES in ID_OFFSETS)
        )
        expected = VaultError if is_id else AuthenticationError
        with pytest.raises(expected):
            use_everything(home, key)
    path.write_bytes(original)
    use_everything(home, key)


@pytest.mark.parametrize("index", range(FILES))
def test_cut_extended_and_missing_files_are_refused(home: Path, key: KeyFile, index: int) -> None:
    path = vault_files(home)[index]
    original = path.read_bytes()
    for altered in (b"", original[:-1], original[: len(original) // 2]):
        path.write_bytes(altered)
        with pytest.raises(AuthenticationError):
            use_everything(home, key)
    path.write_bytes(original + b"x\n")
    with pytest.raises(AuthenticationError):
        use_everything(home, key)
    path.unlink()
    with pytest.raises(VaultError):
        use_everything(home, key)


def test_any_flipped_byte_of_the_key_file_is_a_wrong_key(home: Path, key: KeyFile) -> None:
    original = key.path.read_bytes()
    for offset in range(len(original)):
        altered = bytearray(original)
        altered[offset] ^= 1
        key.path.write_bytes(altered)
        with pytest.raises(AuthenticationError) as caught:
            Vault.open(home, key)
        assert isinstance(caught.value, KeySourceError)


def test_a_refused_opening_leaves_nothing_open(home: Path, key: KeyFile) -> None:
    key.path.write_bytes(b"k" * 32)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(AuthenticationError):
            Vault.open(home, key)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_garbage_never_raises_anything_else(home: Path, key: KeyFile) -> None:
    random = np.random.default_rng(0)
    for path in vault_files(home):
        original = path.read_bytes()
        for _ in range(30):
            path.write_bytes(random.bytes(int(random.integers(0, 400))))
            with pytest.raises(EdgeUnlockError) as caught:
                use_everything(home, key)
            assert "\n" not in str(caught.value)
        path.write_bytes(original)


def test_a_record_put_in_another_ones_place_is_refused(home: Path, key: KeyFile) -> None:
    ana, bo = sorted((home / "records").iterdir())
    shutil.copy(ana, bo)
    with pytest.raises(AuthenticationError):
        use_everything(home, key)


def test_an_old_record_put_back_is_refused(home: Path, key: KeyFile) -> None:
    old = {path.name: path.read_bytes() for path in (home / "records").iterdir()}
    with Vault.open(home, key) as vault:
        vault.enroll("Ana", voice(3), MODEL, CONSENT, replace=True)
    new = next(path for path in (home / "records").iterdir() if path.name not in old)
    gone = next(name for name in old if not (home / "records" / name).exists())
    new.write_bytes(old[gone])
    with Vault.open(home, key) as vault, pytest.raises(AuthenticationError):
        vault.template("Ana", MODEL)


@pytest.mark.parametrize("changed", range(7))
def test_each_claim_is_authenticated_by_itself(changed: int) -> None:
    """The digest in the manifest aside, the seal alone must bind user, model and generation."""
    fields = [b"Ana", b"m" * 32, b"f" * 32, b"\0\0\0\x08", b"float32", b"transform", b"\0" * 8]
    master, record_id = b"k" * 32, b"r" * 16
    blob = container.seal(b"rows", master, container.Context("template", record_id, (*fields,)))
    claimed = container.Context("template", record_id, (*fields,))
    assert container.unseal(blob, master, claimed) == b"rows"
    fields[changed] += b"x"
    with pytest.raises(AuthenticationError):
        container.unseal(blob, master, container.Context("template", record_id, (*fields,)))


def test_an_old_key_slot_before_a_new_manifest_is_refused(home: Path, key: KeyFile) -> None:
    path = home / "manifest.euv"
    blob = path.read_bytes()
    header = container.Header.read(blob, "key slot")
    kek = key.recover(header.record_id, header.kek_parameters)
    again = Snapshot.from_bytes(blob, kek).to_bytes()  # the same keys, sealed once more
    with pytest.raises(AuthenticationError):
        Snapshot.from_bytes(blob[:SLOT_BYTES] + again[SLOT_BYTES:], kek)


@pytest.mark.parametrize("changes", [{"model_sha256": b"x" * 32}, {"feature_sha256": b"x" * 32}])
def test_another_model_asks_for_enrollment(
    home: Path, key: KeyFile, changes: dict[str, bytes]
) -> None:
    known = {"model_sha256": MODEL.model_sha256, "feature_sha256": MODEL.feature_sha256}
    other = ModelIdentity(**{**known, **changes}, embedding_size=SIZE)
    with Vault.open(home, key) as vault:
        for use in (
            lambda: vault.template("Ana", other),
            lambda: vault.add("Ana", voice(3), other),
            lambda: vault.templates(other),
        ):
            with pytest.raises(StaleTemplateError) as caught:
                use()
            assert "enroll again" in caught.value.hint


@pytest.mark.parametrize("index", range(FILES))
def test_a_planted_symbolic_link_is_refused(home: Path, key: KeyFile, index: int) -> None:
    path = vault_files(home)[index]
    target = home.parent / "elsewhere"
    path.rename(target)
    path.symlink_to(target)
    with pytest.raises(VaultError):
        use_everything(home, key)


def test_a_symbolic_link_for_the_directory_is_refused(home: Path, key: KeyFile) -> None:
    link = home.parent / "link"
    link.symlink_to(home)
    with pytest.raises(VaultError):
        Vault.open(link, key)


def test_a_link_planted_for_the_temporary_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    monkeypatch.setattr("secrets.token_hex", lambda _: "guessed")
    (tmp_path / ".new-guessed").symlink_to(victim)
    with files.parent_of(victim) as directory, pytest.raises(VaultError):
        files.replace("file", directory, "file", b"data")
    assert victim.read_bytes() == b"precious"


def test_a_fifo_does_not_hang(home: Path, key: KeyFile) -> None:
    (home / "state.eus").unlink()
    os.mkfifo(home / "state.eus", 0o600)
    with pytest.raises(VaultError):
        use_everything(home, key)


@pytest.mark.parametrize("index", range(FILES))
def test_a_file_open_to_others_is_refused(home: Path, key: KeyFile, index: int) -> None:
    vault_files(home)[index].chmod(0o640)
    with pytest.raises(VaultError) as caught:
        use_everything(home, key)
    assert caught.value.hint.startswith("chmod")


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
@pytest.mark.parametrize("inner", ["", "records"])
def test_a_directory_open_to_others_is_refused(
    home: Path, key: KeyFile, mode: int, inner: str
) -> None:
    (home / inner).chmod(mode)
    with pytest.raises(VaultError) as caught:
        use_everything(home, key)
    assert caught.value.hint.startswith("chmod")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_another_user_is_refused(home: Path, key: KeyFile) -> None:
    os.chown(home / "state.eus", 12345, -1)
    with pytest.raises(VaultError, match="belongs to user id 12345"):
        use_everything(home, key)


def test_an_open_key_file_is_refused(home: Path, key: KeyFile) -> None:
    key.path.chmod(0o644)
    with pytest.raises(KeySourceError) as caught:
        Vault.open(home, key)
    assert "chmod" in caught.value.hint


def test_the_wrong_kind_of_key_is_named(home: Path) -> None:
    assert Vault.key_source_kind(home) == "keyfile"
    with pytest.raises(KeySourceError, match="keyfile, not by passphrase"):
        Vault.open(home, passphrase())
