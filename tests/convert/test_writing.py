"""What a command made appears whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from edge_unlock_convert.errors import ConversionError
from edge_unlock_convert.writing import write


def test_what_stood_there_is_replaced(tmp_path):
    path = tmp_path / "figures.json"
    path.write_text("old, and longer")
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_all_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    path.write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConversionError, match=r"figures\.json: full"):
        write(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_is_an_error(tmp_path):
    with pytest.raises(ConversionError, match="Is a directory"):
        write(tmp_path, b"new")


def test_a_device_keeps_its_place():
    write(Path(os.devnull), b"new")
    assert Path(os.devnull).is_char_device()
