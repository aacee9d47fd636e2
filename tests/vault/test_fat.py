"""Exports and key files where the file system knows no hard links, as FAT and exFAT do not."""

import errno
import os
from pathlib import Path

import pytest

from edge_unlock.errors import KeySourceError
from edge_unlock.vault import KeyFile, Vault

from .conftest import MODEL, passphrase, use_everything


@pytest.fixture(params=[errno.EPERM, errno.ENOTSUP], ids=errno.errorcode.get)
def stick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What FAT does; to mount one takes root, and a kernel that knows it."""

    def link(*_args: object, **_options: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(os, "link", link)
    (tmp_path / "stick").mkdir()
    return tmp_path / "stick"


def test_an_export_is_written_and_read(home: Path, key: KeyFile, stick: Path) -> None:
    with Vault.open(home, key) as vault:
        vault.export(stick / "backup", passphrase())
    other = KeyFile(stick / "key")
    with Vault.import_(home.parent / "other", stick / "backup", passphrase(), other) as copy:
        assert len(copy.templates(MODEL)) == 2


def test_a_key_lies_there_and_changes(home: Path, key: KeyFile, stick: Path) -> None:
    there = KeyFile(stick / "key")
    with Vault.open(home, key) as vault:
        vault.rekey(there)
        vault.remove("Bo")
        vault.rekey(there)
    assert [path.name for path in stick.iterdir()] == ["key"]
    use_everything(home, there)
    with Vault.open(home, there) as vault:
        vault.rekey(passphrase())
    assert not list(stick.iterdir())


def test_a_key_that_the_stick_shows_to_all_is_refused(
    home: Path, key: KeyFile, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mounted as desktops do, every file has the mode of the mount."""
    opening = os.open

    def open_without_modes(path: str | Path, flags: int, *mode: int, **options: int) -> int:
        descriptor = opening(path, flags, *mode, **options)
        if flags & os.O_CREAT:
            os.fchmod(descriptor, 0o755)
        return descriptor

    with Vault.open(home, key) as vault:
        monkeypatch.setattr(os, "open", open_without_modes)
        with pytest.raises(KeySourceError) as caught:
            vault.rekey(KeyFile(stick / "key"))
        monkeypatch.undo()
    assert "umask=077" in caught.value.hint
    assert not list(stick.iterdir())
    use_everything(home, key)
