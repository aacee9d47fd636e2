import unicodedata
from pathlib import Path

import pytest

from edge_unlock.errors import AuthenticationError, KeySourceError
from edge_unlock.vault import Argon2Cost, Passphrase, Vault

from .conftest import passphrase

ID = b"i" * 16
COMMON = [
    "abcd1234",
    "qwerty123",
    "password12",
    "p@ssw0rd",
    "raspberry1",
    "edge-unlock",
    "Password",
]


@pytest.mark.parametrize("phrase", ["", "short", "aaaaaaaaaaaa", "12345678", "abababab", *COMMON])
def test_weak_passphrases_are_refused(tmp_path: Path, phrase: str) -> None:
    with pytest.raises(KeySourceError) as caught:
        Vault.create(tmp_path / "vault", passphrase(phrase))
    assert "words" in caught.value.hint
    assert phrase not in f"{caught.value} {caught.value.hint}" or not phrase
    assert not Vault.exists(tmp_path / "vault")


def test_the_judge_says_what_is_wrong() -> None:
    with pytest.raises(KeySourceError) as caught:
        passphrase("password12").new(ID)
    assert "common password" in caught.value.hint


@pytest.mark.parametrize(
    "phrase", ["correct horse battery", "tr\u00e9s bien, mon ami", " ".join(map(str, range(99)))]
)
def test_others_are_taken_whatever_their_length(phrase: str) -> None:
    assert len(passphrase(phrase).new(ID).key) == 32


def test_an_old_weak_passphrase_goes_on_opening() -> None:
    """Only new ones are judged, or who has a vault under one could not get in to change it."""
    parameters = passphrase().new(ID).parameters
    assert passphrase("password").recover(ID, parameters).key


@pytest.mark.parametrize(
    ("memory_kib", "iterations", "lanes"),
    [(2**32 - 1, 3, 4), (256 * 1024 + 1, 3, 4), (65536, 11, 4), (65536, 3, 17), (8, 1, 1)],
)
def test_argon2_cost_is_checked_before_it_is_spent(
    memory_kib: int, iterations: int, lanes: int
) -> None:
    with pytest.raises(KeySourceError):
        Argon2Cost(memory_kib, iterations, lanes)
    parameters = Passphrase._PARAMETERS.pack(b"s" * 16, memory_kib, iterations, lanes)
    asked: list[str] = []
    source = Passphrase(lambda: asked.append("asked") or "correct horse battery")
    with pytest.raises(AuthenticationError):
        source.recover(ID, parameters)
    assert not asked


def test_accents_may_be_composed_either_way() -> None:
    phrase = "caf\u00e9 au lait chaud"
    kek = passphrase(phrase).new(ID)
    other = passphrase(unicodedata.normalize("NFD", phrase))
    assert other.recover(ID, kek.parameters) == kek
