"""A package appears whole or not at all."""

import errno

import pytest

from edge_unlock_convert.errors import ConversionError
from edge_unlock_convert.packaging import package
from edge_unlock_convert.packaging.package import write_package

FILES = {"manifest.json": b"{}", "model.tflite": b"TFL3"}


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_written(tmp_path):
    write_package(tmp_path / "models" / "new", FILES, replace=False)
    assert contents(tmp_path / "models" / "new") == FILES
    assert [one.name for one in (tmp_path / "models").iterdir()] == ["new"]


def test_replaced_only_when_asked(tmp_path):
    write_package(tmp_path / "one", FILES, replace=False)
    with pytest.raises(ConversionError, match="exists already"):
        write_package(tmp_path / "one", {"a": b""}, replace=False)
    assert contents(tmp_path / "one") == FILES
    write_package(tmp_path / "one", {"a": b"new"}, replace=True)
    assert contents(tmp_path / "one") == {"a": b"new"}
    assert [one.name for one in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_broken_off(tmp_path, monkeypatch, error):
    """A full disk, or the person's Ctrl-C, at the second file: the old package is as it was."""
    write_package(tmp_path / "one", FILES, replace=False)
    write = package._write

    def broken(path, data):
        if path.name == "b":
            raise error
        write(path, data)

    monkeypatch.setattr(package, "_write", broken)
    with pytest.raises((ConversionError, KeyboardInterrupt)):
        write_package(tmp_path / "one", {"a": b"", "b": b""}, replace=True)
    assert contents(tmp_path / "one") == FILES
    assert [one.name for one in tmp_path.iterdir()] == ["one"]
