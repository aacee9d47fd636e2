"""A package appears whole or not at all."""

import errno
from pathlib import Path

import pytest

from edge_unlock.encoder.package import shipped_package
from edge_unlock_convert.errors import ConversionError
from edge_unlock_convert.packaging import package
from edge_unlock_convert.packaging.package import package_name, write_package


@pytest.fixture(scope="module")
def files():
    """Those of the package that ships."""
    return contents(shipped_package())


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_written(tmp_path, files):
    write_package(tmp_path / "models" / "new", files, replace=False)
    assert contents(tmp_path / "models" / "new") == files
    assert [one.name for one in (tmp_path / "models").iterdir()] == ["new"]


def test_replaced_only_when_asked(tmp_path, files):
    write_package(tmp_path / "one", files, replace=False)
    with pytest.raises(ConversionError, match="exists already"):
        write_package(tmp_path / "one", {"a": b""}, replace=False)
    assert contents(tmp_path / "one") == files
    new = {**files, "a": b"new"}
    write_package(tmp_path / "one", new, replace=True)
    assert contents(tmp_path / "one") == new
    assert [one.name for one in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_broken_off(tmp_path, monkeypatch, error, files):
    """A full disk, or the person's Ctrl-C, at the second file: the old package is as it was."""
    write_package(tmp_path / "one", files, replace=False)
    write = package._write

    def broken(path, data):
        if path.name == "b":
            raise error
        write(path, data)

    monkeypatch.setattr(package, "_write", broken)
    with pytest.raises((ConversionError, KeyboardInterrupt)):
        write_package(tmp_path / "one", {**files, "a": b"", "b": b""}, replace=True)
    assert contents(tmp_path / "one") == files
    assert [one.name for one in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("kind", ["other files", "packages", "link"])
def test_only_a_package_is_replaced(tmp_path, kind, files):
    target = tmp_path / "target"
    if kind == "link":
        write_package(tmp_path / "real", files, replace=False)
        target.symlink_to("real")
    else:
        (target / "one").mkdir(parents=True)
        (target / ("notes" if kind == "other files" else "manifest.json")).touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConversionError, match="no package that could be replaced"):
        write_package(target, files, replace=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_the_device_would_refuse_is_not_written(tmp_path, files):
    manifest = files["manifest.json"].replace(b'"name": "edge-voice-9"', b'"name": "my voice"')
    with pytest.raises(ConversionError, match=r"device would refuse .*/new/manifest\.json"):
        write_package(tmp_path / "new", {**files, "manifest.json": manifest}, replace=False)
    assert not list(tmp_path.iterdir())


def test_name_is_that_of_the_directory(tmp_path, monkeypatch):
    (tmp_path / "quiet-1").mkdir()
    monkeypatch.chdir(tmp_path / "quiet-1")
    assert package_name(Path()) == package_name(tmp_path / "quiet-1") == "quiet-1"
    assert package_name(Path(), "other") == "other"


@pytest.mark.parametrize("name", ["my voice", ".hidden", "größe", "a\nb", "x" * 101])
def test_a_name_that_no_manifest_holds_is_refused_at_once(name):
    with pytest.raises(ConversionError, match="cannot have the name") as caught:
        package_name(Path("models") / name)
    assert "Say another" in caught.value.hint
