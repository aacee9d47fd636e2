"""Voices on disk: as they were made, or refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_unlock.errors import ConfigError
from edge_unlock_convert.errors import ConversionError
from edge_unlock_convert.training.voices import VoiceSet

PIECES = [(f"speech/p{number}", np.full(100 + number, 0.1, np.float32)) for number in range(3)]
HEARD = np.eye(3, 4, dtype=np.float32)
CHANGES = [(1.0, 1.0, 1.0, 0.0)] * 3


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    VoiceSet.save(tmp_path / "made", "v0", PIECES, [HEARD, 2 * HEARD], CHANGES)
    return tmp_path / "made"


def test_what_was_saved_is_read_again(directory: Path) -> None:
    found = VoiceSet.load(directory, "v0")
    assert found.speakers.tolist() == ["speech/p0", "speech/p1", "speech/p2"]
    np.testing.assert_allclose(found.piece(1), PIECES[1][1], atol=1e-4)
    np.testing.assert_array_equal(found.further[0], 2 * HEARD)


@pytest.mark.parametrize("name", ["v0.npz", "v0.audio.npy"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
def test_a_set_that_was_cut_short_is_damaged(directory: Path, name: str, kept: float) -> None:
    whole = (directory / name).read_bytes()
    (directory / name).write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ConfigError, match=r"v0\.npz are damaged"):
        VoiceSet.load(directory, "v0")


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("off", lambda off: off[::-1]),
        ("off", lambda off: off[:-1]),
        ("off", lambda off: off + 1),
        ("spk", lambda spk: spk[:-1]),
        ("spk", lambda spk: np.arange(len(spk))),
        ("emb", lambda emb: emb[:-1]),
        ("emb", lambda emb: np.where(emb == 1, np.nan, emb)),
        ("emb1", lambda emb: emb * np.inf),
        ("transform", lambda transform: transform[:, :3]),
        ("emb", None),
    ],
)
def test_fields_that_do_not_agree_are_refused(
    directory: Path, field: str, change: Callable[[Any], Any] | None
) -> None:
    with np.load(directory / "v0.npz") as index:
        fields = dict(index)
    with np.errstate(invalid="ignore"):
        found = fields.pop(field)
        if change is not None:
            fields[field] = change(found)
    np.savez(directory / "v0.npz", **fields)
    with pytest.raises(ConfigError, match="are damaged"):
        VoiceSet.load(directory, "v0")


def test_a_set_that_cannot_be_written_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConversionError, match="No space left"):
        VoiceSet.save(tmp_path, "v0", PIECES, [HEARD], CHANGES)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="cannot read the voices"):
        VoiceSet.load(tmp_path, "v0")
