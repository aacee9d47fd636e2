"""The place in the vault: sealed as templates are, and bound to model and microphone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_unlock.errors import AuthenticationError, VaultError
from edge_unlock.vault import KeyFile, Vault

from .conftest import MODEL, passphrase, voice

OTHER_MODEL = replace(MODEL, model_sha256=bytes(32))


def learned(home: Path, key: KeyFile) -> Vault:
    vault = Vault.open(home, key)
    vault.learn_place(voice(7), 0.02, "usb", MODEL)
    return vault


def assert_known(vault: Vault) -> None:
    place = vault.place(MODEL, "usb")
    assert place is not None
    np.testing.assert_allclose(place.voices, voice(7), atol=1e-6)
    assert not place.voices.flags.writeable
    assert (place.entry.shift, place.entry.voices) == (0.02, len(voice(7)))


def test_what_was_learned_comes_back(home: Path, key: KeyFile) -> None:
    with Vault.open(home, key) as vault:
        assert vault.place(MODEL, "usb") is None
        assert not vault.forget_place()
    learned(home, key).close()
    with Vault.open(home, key) as vault:
        assert_known(vault)
        assert vault.place(MODEL, "") is None  # another microphone
        assert vault.place(OTHER_MODEL, "usb") is None


def test_it_outlives_removals_and_keys_but_not_forgetting(home: Path, key: KeyFile) -> None:
    with learned(home, key) as vault:
        vault.remove("Ana")
        assert_known(vault)
        vault.enroll("Cy", voice(3), MODEL, vault.users()[0].consent)
        assert_known(vault)
        vault.rekey(passphrase())
        assert_known(vault)
        records = len(list((home / "records").iterdir()))
        assert vault.forget_place()
        assert vault.place(MODEL, "usb") is None
        assert len(list((home / "records").iterdir())) == records - 1
        assert [entry.name for entry in vault.users()] == ["Bo", "Cy"]


def test_it_is_learned_anew_not_added_to(home: Path, key: KeyFile) -> None:
    with learned(home, key) as vault:
        vault.learn_place(voice(8), -0.01, "", MODEL)
        assert vault.place(MODEL, "usb") is None
        again = vault.place(MODEL, "")
        assert again is not None
        np.testing.assert_allclose(again.voices, voice(8), atol=1e-6)


def test_an_altered_record_is_found(home: Path, key: KeyFile) -> None:
    before = set((home / "records").iterdir())
    with learned(home, key) as vault:
        (record,) = set((home / "records").iterdir()) - before
        blob = bytearray(record.read_bytes())
        blob[-1] ^= 1
        record.write_bytes(blob)
        with pytest.raises(AuthenticationError, match="place"):
            vault.place(MODEL, "usb")


def test_unusable_voices_are_refused(home: Path, key: KeyFile) -> None:
    with Vault.open(home, key) as vault, pytest.raises(VaultError):
        vault.learn_place(2 * voice(7), 0.0, "", MODEL)


@pytest.mark.parametrize("shift", [np.nan, np.inf, -np.inf])
def test_a_shift_that_is_no_number_is_refused(home: Path, key: KeyFile, shift: float) -> None:
    """A threshold lowered without end would let everybody in."""
    with Vault.open(home, key) as vault:
        with pytest.raises(VaultError, match="shift"):
            vault.learn_place(voice(7), shift, "usb", MODEL)
        assert vault.place(MODEL, "usb") is None


def test_the_place_stays_where_it_is(home: Path, key: KeyFile, tmp_path: Path) -> None:
    """Another device stands elsewhere."""
    with learned(home, key) as vault:
        vault.export(tmp_path / "moved", passphrase())
    with Vault.import_(
        tmp_path / "other", tmp_path / "moved", passphrase(), KeyFile(tmp_path / "other.key")
    ) as other:
        assert other.place(MODEL, "usb") is None
        assert len(other.users()) == 2
