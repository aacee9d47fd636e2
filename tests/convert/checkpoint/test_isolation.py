"""What is said to somebody whose temporary directory does not do."""

import errno

import pytest

from edge_unlock_convert.checkpoint import Options, isolation, read
from edge_unlock_convert.errors import CheckpointError, ConversionError


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


class TestWorker:
    @pytest.fixture
    def misfit(self, tmp_path):
        """A state dict whose tensors do not fit each other."""
        torch = pytest.importorskip("torch")
        state = torch.nn.LSTM(5, 6).state_dict()
        path = tmp_path / "misfit.pt"
        torch.save({**state, "bias_hh_l0": torch.zeros(7)}, path)
        return path

    def test_what_no_reader_foresaw_is_damage_of_the_file(self, misfit):
        with pytest.raises(CheckpointError, match=r"misfit\.pt is malformed.*broadcast") as caught:
            read(misfit, Options(pooling="last"))
        assert "\n" not in str(caught.value)

    def test_debugging_shows_where(self, misfit, monkeypatch, capsys):
        monkeypatch.setenv("EDGE_UNLOCK_DEBUG", "1")
        with pytest.raises(CheckpointError):
            read(misfit, Options(pooling="last"))
        assert "torch_modules.py" in capsys.readouterr().err

    def test_names_of_a_checkpoint_make_no_lines_of_their_own(self, tmp_path):
        torch = pytest.importorskip("torch")
        state = torch.nn.LSTM(5, 6).state_dict()
        path = tmp_path / "names.pt"
        torch.save({**state, "a\n\x1b[2J.weight": torch.zeros(3)}, path)
        with pytest.raises(CheckpointError, match=r"a \\x1b\[2J") as caught:
            read(path, Options(pooling="last"))
        assert str(caught.value).isprintable()
