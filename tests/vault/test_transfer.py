"""An export whose author knew the passphrase, but lied."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_unlock.errors import VaultError
from edge_unlock.vault import KeyFile, Vault, transfer
from edge_unlock.vault.container import EXPORT_FILE, Context, seal

from .conftest import passphrase, voice

HONEST: dict[str, Any] = {
    "name": "Ana",
    "created": "2025-01-31T12:00:00+00:00",
    "updated": "2025-01-31T12:00:00+00:00",
    "utterances": 2,
    "consent": {"when": "2025-01-31T12:00:00+00:00", "purpose": "unlocking"},
    "model_sha256": "00" * 32,
    "feature_sha256": "ff" * 32,
    "embedding_size": 8,
    "dtype": "float32",
    "operating_point": None,
}


def export(path: Path, document: object, rows: bytes) -> Path:
    """Seal a document and rows as an export is sealed."""
    listed = document if isinstance(document, bytes) else json.dumps(document).encode()
    payload = len(listed).to_bytes(4, "big") + listed + rows
    kek = passphrase().new(b"i" * 16)
    sealed = seal(
        payload,
        kek.key,
        Context("export", b"i" * 16),
        form=EXPORT_FILE,
        kek_id=kek.id,
        kek_parameters=kek.parameters,
    )
    path.write_bytes(sealed)
    return path


def assert_refused(tmp_path: Path, document: object, rows: bytes) -> None:
    path = export(tmp_path / "export", document, rows)
    with pytest.raises(VaultError, match="authentic but") as caught:
        Vault.import_(tmp_path / "vault", path, passphrase(), KeyFile(tmp_path / "key"))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300
    assert not (tmp_path / "vault").exists()
    assert not (tmp_path / "key").exists()


def test_an_honest_one_is_read(tmp_path: Path) -> None:
    path = export(tmp_path / "export", [HONEST], voice(1).tobytes())
    ((entry, rows),) = transfer.read(path, passphrase())
    assert entry.name == "Ana"
    np.testing.assert_allclose(rows, voice(1), atol=1e-6)


LIES: list[tuple[str, object]] = [
    *(("name", lie) for lie in ("", "../x", "a\nb", 5, None, ["Ana"], "a" * 65, "zoe\u0308")),
    *(
        (when, lie)
        for when in ("created", "updated", "consent.when")
        for lie in ("", "yesterday", 5, None, "2025-01-31", "2025-01-31T12:00:00+02:00", "\n" * 99)
    ),
    *(("utterances", lie) for lie in (0, -1, 1, 3, 2.0, "2", True, None, 10**30, 2**63)),
    *(("consent.purpose", lie) for lie in ("", "two\nlines", "x" * 201, 5, None, ["x"])),
    *(("consent", lie) for lie in (None, 5, "x", [])),
    *(("model_sha256", lie) for lie in ("", "00", "zz" * 32, 5, None)),
    *(("feature_sha256", lie) for lie in ("00" * 33, [])),
    *(("embedding_size", lie) for lie in (0, -8, 7, 8.0, 2049, 10**30, "8", True, None)),
    *(("dtype", lie) for lie in ("float64", "object", 5, None, ["float32"])),
    *(("operating_point", lie) for lie in ("", "x" * 65, "two\nlines", 5, True, ["strict"])),
]


@pytest.mark.parametrize(("field", "lie"), LIES)
def test_each_field_is_checked(tmp_path: Path, field: str, lie: object) -> None:
    document = copy.deepcopy(HONEST)
    *outer, last = field.split(".")
    place = document
    for name in outer:
        place = place[name]
    place[last] = lie
    assert_refused(tmp_path, [document], voice(1).tobytes())


@pytest.mark.parametrize("field", HONEST)
def test_each_field_is_needed(tmp_path: Path, field: str) -> None:
    document = {name: value for name, value in HONEST.items() if name != field}
    assert_refused(tmp_path, [document], voice(1).tobytes())


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"Ana": HONEST},
        [5],
        ["Ana"],
        None,
        [HONEST] * 300,
        b"",
        b"[" * 100_000,
        b"\xff",
        b"[NaN]",
        b"[" + b"9" * 5000 + b"]",
    ],
    ids=lambda document: repr(document)[:20],
)
def test_what_is_no_list_of_users_is_refused(tmp_path: Path, document: object) -> None:
    assert_refused(tmp_path, document, voice(1).tobytes())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: rows * 1.01,
        lambda rows: rows * np.nan,
        lambda rows: rows * np.inf,
        lambda rows: rows * 0,
        lambda rows: rows[:1],
        lambda rows: np.vstack([rows, rows]),
    ],
)
def test_rows_are_checked(tmp_path: Path, spoil: Callable[[np.ndarray], np.ndarray]) -> None:
    assert_refused(tmp_path, [HONEST], spoil(voice(1)).astype("<f4").tobytes())


def test_a_row_that_is_cut_is_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path, [HONEST], voice(1).tobytes()[:-3])


def test_more_than_a_record_can_hold_is_refused(tmp_path: Path) -> None:
    many = {**HONEST, "utterances": 3000}
    assert_refused(tmp_path, [many], voice(1, rows=3000).tobytes())


@pytest.mark.parametrize("name", ["Ana", "ana", "An\u0430"])
def test_nobody_is_there_twice(tmp_path: Path, name: str) -> None:
    rows = voice(1).tobytes() + voice(2).tobytes()
    assert_refused(tmp_path, [HONEST, {**HONEST, "name": name}], rows)
