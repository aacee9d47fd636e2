"""A key from a real systemd-creds, which needs no running systemd."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edge_unlock.errors import KeySourceError, WrongKeyError
from edge_unlock.vault import SystemdCredential, Vault
from edge_unlock.vault.credential import NAME

from .conftest import CONSENT, MODEL, voice

KEY = bytes(range(32))


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What systemd names to a service."""
    directory = tmp_path / "credentials"
    directory.mkdir(mode=0o700)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    return directory


def give(directory: Path, data: bytes, mode: int = 0o400) -> None:
    path = directory / NAME
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


@pytest.mark.skipif(not shutil.which("systemd-creds"), reason="systemd-creds is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has the key of the host")
@pytest.mark.parametrize("data", [KEY, KEY.hex().encode(), KEY.hex().encode() + b"\n"])
def test_a_vault_opens_by_what_systemd_decrypted(
    directory: Path, tmp_path: Path, data: bytes
) -> None:
    sealed = tmp_path / "sealed"
    run = ["systemd-creds", f"--name={NAME}", "--with-key=host"]
    subprocess.run([*run, "encrypt", "-", sealed], input=data, check=True, capture_output=True)
    assert data not in sealed.read_bytes()

    def decrypt() -> None:  # what LoadCredentialEncrypted= does before the service starts
        give(
            directory,
            subprocess.run(
                ["systemd-creds", f"--name={NAME}", "decrypt", sealed, "-"],
                check=True,
                capture_output=True,
            ).stdout,
        )

    decrypt()
    home = tmp_path / "vault"
    with Vault.create(home, SystemdCredential()) as vault:
        vault.enroll("Ana", voice(1), MODEL, CONSENT)
        vault.enroll("Bo", voice(2), MODEL, CONSENT)
        vault.remove("Bo")
    (directory / NAME).unlink()
    decrypt()
    assert Vault.key_source_kind(home) == "systemd-credential"
    with Vault.open(home, SystemdCredential()) as vault:
        assert [entry.name for entry in vault.users()] == ["Ana"]
        with pytest.raises(KeySourceError, match="the one in use"):
            vault.rekey(SystemdCredential())


def test_without_systemd_it_is_said_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(KeySourceError, match="no credentials") as caught:
        Vault.create(tmp_path / "vault", SystemdCredential())
    assert f"LoadCredentialEncrypted={NAME}" in caught.value.hint


def test_a_credential_of_another_name_is_none(directory: Path, tmp_path: Path) -> None:
    (directory / "other").write_bytes(KEY)
    with pytest.raises(KeySourceError, match="does not exist"):
        Vault.create(tmp_path / "vault", SystemdCredential())


@pytest.mark.parametrize("data", [b"", KEY[:-1], KEY + b"x", b"x" * 64, "\u00e9".encode() * 20])
def test_what_is_no_key_is_refused(directory: Path, tmp_path: Path, data: bytes) -> None:
    give(directory, data)
    with pytest.raises(KeySourceError, match="no key"):
        Vault.create(tmp_path / "vault", SystemdCredential())
    assert not Vault.exists(tmp_path / "vault")


def test_another_key_does_not_open(directory: Path, tmp_path: Path) -> None:
    give(directory, KEY)
    Vault.create(tmp_path / "vault", SystemdCredential()).close()
    give(directory, KEY[::-1])
    with pytest.raises(WrongKeyError):
        Vault.open(tmp_path / "vault", SystemdCredential())


@pytest.mark.parametrize(("mode", "safe"), [(0o400, True), (0o440, False), (0o604, False)])
def test_one_that_others_read_is_refused(
    directory: Path, tmp_path: Path, mode: int, safe: bool
) -> None:
    give(directory, KEY, mode)
    if safe:
        Vault.create(tmp_path / "vault", SystemdCredential()).close()
        return
    with pytest.raises(KeySourceError, match="open to other users"):
        Vault.create(tmp_path / "vault", SystemdCredential())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_gives_a_service_what_its_group_reads(directory: Path, tmp_path: Path) -> None:
    """systemd's files are root's, with mode 0440 and an access list for the service's user."""
    give(directory, KEY, 0o440)
    os.chown(directory / NAME, 0, 4242)
    directory.chmod(0o755)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for above in directory.parents:
                if above.owner() == "root" and str(above).count("pytest"):
                    above.chmod(0o755)
            os.setgroups([])
            os.setresgid(4242, 4242, 4242)
            os.setresuid(4242, 4242, 4242)
            status = SystemdCredential().new(b"i" * 16).key != KEY
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
