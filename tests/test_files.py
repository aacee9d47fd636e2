"""Files that are read and written with care, also where there are no hard links."""

import errno
import os
from pathlib import Path

import pytest

from edge_unlock import files
from edge_unlock.errors import VaultError, VaultExistsError
from tests.strange import KINDS, make_strange


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


def test_what_is_destroyed_is_overwritten_first(tmp_path: Path) -> None:
    path, link = tmp_path / "secret", tmp_path / "same-blocks"
    create(path, b"name" + b"secret")
    os.link(path, link)
    with files.parent_of(path) as directory:
        files.replace_secret(path.name, directory, str(path), b"name" + b"next", 4)
        assert path.read_bytes() == b"namenext"
        assert link.read_bytes() == b"name" + bytes(6)
        link.unlink()
        os.link(path, link)
        files.destroy_secret(path.name, directory, str(path), 4)
    assert not path.exists()
    assert link.read_bytes() == b"name" + bytes(4)


def read(path: Path) -> bytes:
    return files.read_path(path, 100, files.check_nothing)


def test_a_place_where_all_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shared" / "mine" / "file"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"data")
    shared = path.parents[1]
    for mode, safe in ((0o755, True), (0o777, False), (0o1777, True), (0o775, True)):
        shared.chmod(mode)
        if safe:
            assert read(path) == b"data"
            continue
        with pytest.raises(VaultError, match="all users may write") as caught:
            read(path)
        assert caught.value.hint == f"chmod o-w {shared}"
    (tmp_path / "link").symlink_to(path)
    shared.chmod(0o777)
    with pytest.raises(VaultError, match="all users may write"):  # where the link leads
        read(tmp_path / "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give directories away")
def test_another_users_place_below_tmp_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    (shared / "theirs").mkdir(parents=True)
    shared.chmod(0o1777)
    (shared / "theirs" / "file").write_bytes(b"data")
    os.chown(shared / "theirs", 4242, 4242)
    with pytest.raises(VaultError, match="belongs to user id 4242"):
        read(shared / "theirs" / "file")


@pytest.mark.parametrize("kind", KINDS)
def test_strange_files_are_read_by_nobody(tmp_path: Path, kind: str) -> None:
    path = make_strange(tmp_path / "file", kind)
    if kind == "latin-1":
        assert read(path) == b"\xe9"
        return
    with pytest.raises(VaultError) as caught:
        read(path)
    assert str(caught.value).isprintable()
