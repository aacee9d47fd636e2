"""Writing a file where the file system has no hard links."""

import errno
import os
from pathlib import Path

import pytest

from edge_unlock.errors import VaultError, VaultExistsError
from edge_unlock.vault import KeyFile, Vault, files

from .conftest import MODEL, passphrase


@pytest.fixture(params=[errno.EPERM, errno.ENOTSUP], ids=errno.errorcode.get)
def no_hard_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What FAT does; to mount one takes root."""

    def link(*_args: object, **_options: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(os, "link", link)


def create(path: Path, data: bytes) -> None:
    with files.parent_of(path) as directory:
        files.create(path.name, directory, str(path), data)


@pytest.mark.usefixtures("no_hard_links")
def test_a_file_is_made_private_whole_and_never_over_another(tmp_path: Path) -> None:
    path = tmp_path / "new"
    create(path, b"first")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(VaultExistsError):
        create(path, b"second")
    (tmp_path / "dangling").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VaultExistsError):
        create(tmp_path / "dangling", b"third")
    assert path.read_bytes() == b"first"
    assert {entry.name for entry in tmp_path.iterdir()} == {"new", "dangling"}


@pytest.mark.usefixtures("no_hard_links")
def test_a_failure_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(*_args: object, **_options: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(VaultError, match="Input/output error"):
        create(tmp_path / "new", b"data")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_hard_links")
def test_keys_and_exports_are_written(home: Path, key: KeyFile, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    with Vault.open(home, key) as vault:
        vault.export(stick / "backup", passphrase())
    other = KeyFile(stick / "key")
    with Vault.import_(tmp_path / "other", stick / "backup", passphrase(), other) as copy:
        assert len(copy.templates(MODEL)) == 2
