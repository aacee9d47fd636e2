from pathlib import Path

import pytest

from edge_unlock.errors import UserExistsError
from edge_unlock.vault import KeyFile, Vault
from edge_unlock.vault.names import find_look_alike

from .conftest import CONSENT, MODEL, voice

ALIKE = [
    ("anna", "Anna"),
    ("anna", "\u0430nna"),  # a Cyrillic a
    ("anna", "\uff41nna"),  # a fullwidth one
    ("Anna", "\u0391\u039d\u039d\u0391"),  # Greek capitals
    ("coco", "\u0441\u043e\u0441\u043e"),  # all Cyrillic: no mixture of scripts gives it away
    ("zo\u00eb", "zo\u0451"),
    ("Ilse", "ilse"),
    ("AI", "al"),
    ("anna1", "annal"),
    ("modern", "modem"),
    ("strasse", "STRA\u00dfE"),
]
DIFFERENT = [("anna", "ana"), ("Zo\u00eb", "Zoe"), ("Ali", "Ail"), ("\u5f20\u4f1f", "\u5f35\u5049")]


@pytest.mark.parametrize(("name", "other"), ALIKE)
def test_names_that_look_alike_are_found(name: str, other: str) -> None:
    assert find_look_alike(name, ["somebody", other]) == other
    assert find_look_alike(other, ["somebody", name]) == name


@pytest.mark.parametrize(("name", "other"), DIFFERENT)
def test_names_that_look_different_are_none(name: str, other: str) -> None:
    assert find_look_alike(name, [other]) is None


@pytest.mark.parametrize("name", ["ana", "ANA", "An\u0430", "\uff21na"])
def test_only_one_of_them_can_be_enrolled(home: Path, key: KeyFile, name: str) -> None:
    with Vault.open(home, key) as vault:
        with pytest.raises(UserExistsError, match="looks like 'Ana'"):
            vault.enroll(name, voice(3), MODEL, CONSENT, replace=True)
        vault.enroll("Ana", voice(3), MODEL, CONSENT, replace=True)
        assert [entry.name for entry in vault.users()] == ["Ana", "Bo"]


def test_who_was_enrolled_side_by_side_stays(
    home: Path, key: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Vault.open(home, key) as vault:
        with monkeypatch.context() as patch:  # as 0.1.0 did
            patch.setattr("edge_unlock.vault.vault.find_look_alike", lambda *_: None)
            vault.enroll("ana", voice(3), MODEL, CONSENT)
        vault.enroll("ana", voice(4), MODEL, CONSENT, replace=True)
        assert len(vault.templates(MODEL)) == 3
