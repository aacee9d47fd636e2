"""What is said to somebody whose temporary directory does not do."""

import errno

import pytest

from edge_unlock_convert.checkpoint import isolation
from edge_unlock_convert.errors import ConversionError


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
