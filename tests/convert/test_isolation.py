"""What is said to somebody whose Python, TensorFlow or temporary directory does not do."""

import errno
import importlib.metadata

import pytest

from edge_unlock_convert import isolation
from edge_unlock_convert.errors import ConversionError


@pytest.mark.parametrize("version", ["2.15", "2.15.0", "2.15.1", "2.15.0.post1"])
def test_tensorflow_that_converts(version):
    assert isolation.converts_lstm(version)


@pytest.mark.parametrize("version", ["1.15.5", "2.1.5", "2.14.1", "2.16.2", "2.17.0", "2.21.0"])
def test_tensorflow_that_does_not(version):
    assert not isolation.converts_lstm(version)


@pytest.mark.parametrize("python", [(3, 12), (3, 13), (3, 14), (4, 0)])
def test_later_python_is_told_how_to_get_an_earlier_one(python):
    hint = isolation.installation_hint(python)
    assert f"no build for Python {python[0]}.{python[1]}" in hint
    for words in ("python3.11 -m venv", "uv venv --python 3.11", '"edge-unlock[convert]"'):
        assert words in hint


def test_python_3_11_is_told_what_to_install():
    hint = isolation.installation_hint((3, 11))
    assert 'pip install "edge-unlock[convert]"' in hint
    assert "no build" not in hint


@pytest.fixture
def installed(monkeypatch):
    """Pretends that these distributions are installed."""

    def installed(**versions):
        def version(name):
            if name not in versions:
                raise importlib.metadata.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(isolation.importlib.metadata, "version", version)

    return installed


def test_no_tensorflow(installed):
    installed()
    with pytest.raises(ConversionError, match="TensorFlow is not installed") as caught:
        isolation.check_tensorflow()
    assert "edge-unlock[convert]" in caught.value.hint


def test_other_tensorflow(installed):
    installed(tensorflow="2.19.0")
    with pytest.raises(ConversionError, match=r"TensorFlow 2\.19\.0 is installed; 2\.15") as caught:
        isolation.check_tensorflow()
    assert "edge-unlock[convert]" in caught.value.hint


def test_right_tensorflow(installed):
    installed(tensorflow="2.15.1")
    assert isolation.check_tensorflow() == "2.15.1"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_temporary_directory_is_an_error_with_a_hint(number):
    with (
        pytest.raises(ConversionError, match="cannot write temporary files in /") as caught,
        isolation.scratch(),
    ):
        raise OSError(number, "full")
    assert "TMPDIR" in caught.value.hint


def test_temporary_directory_does_not_stay():
    with isolation.scratch() as directory:
        (directory / "file").touch()
    assert not directory.exists()
