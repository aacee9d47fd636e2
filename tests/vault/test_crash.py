"""A crash at any point of a write leaves the old state or the new, and a vault that opens."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_unlock.vault import KeyFile, KeySource, Vault, audit

from .conftest import AS_MANY, CONSENT, LINES, MODEL, fail, passphrase, use_everything, voice

KILLS = 200


def in_child(work: Callable[[], None]) -> int:
    """Fork a child that does ``work``; return its process id."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def test_killed_writers_lose_nothing_that_was_acknowledged(home: Path, key: KeyFile) -> None:
    with Vault.open(home, key) as vault:  # so that Ana's generation is the vault's
        vault.enroll("Ana", voice(1), MODEL, CONSENT, replace=True)
    chance = random.Random(1)
    for _ in range(KILLS):
        with Vault.open(home, key) as vault:
            before = vault.template("Ana", MODEL).generation
        reader, writer = os.pipe()

        def write(before: int = before, writer: int = writer) -> None:
            with Vault.open(home, key) as vault:
                os.write(writer, b"r")
                for generation in range(before + 1, before + 1000):
                    rows = voice(generation)
                    vault.enroll("Ana", rows, MODEL, CONSENT, replace=True)
                    os.write(writer, b".")
                    vault.audit.append("enrolled", step=generation)

        child = in_child(write)
        os.close(writer)
        assert os.read(reader, 1) == b"r"  # from here on it is writing all the time
        time.sleep(chance.uniform(0.0, 0.04))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        acknowledged = before + len(os.read(reader, 4096))
        os.close(reader)
        with Vault.open(home, key) as vault:
            template = vault.template("Ana", MODEL)
            assert acknowledged <= template.generation <= acknowledged + 1
            if template.generation > before:
                np.testing.assert_allclose(
                    template.embeddings, voice(template.generation), atol=1e-6
                )
        use_everything(home, key)
    assert acknowledged > 10  # the writers did get somewhere, however slow the disk
    with Vault.open(home, key) as vault:
        vault.enroll("Ana", voice(1), MODEL, CONSENT, replace=True)
    assert len(list((home / "records").iterdir())) == 2  # what crashes left behind is gone
    assert not list(home.glob(".new-*"))


CALLS = ("open", "fsync", "rename", "unlink", "link")


def enroll(vault: Vault, _: Path) -> None:
    vault.enroll("Cy", voice(3), MODEL, CONSENT)


def add(vault: Vault, _: Path) -> None:
    vault.add("Ana", voice(3), MODEL)


def remove(vault: Vault, _: Path) -> None:
    vault.remove("Bo")


def rekey(vault: Vault, elsewhere: Path) -> None:
    vault.rekey(KeyFile(elsewhere))


def append(vault: Vault, _: Path) -> None:
    vault.audit.append("accepted")


def rotate(vault: Vault, _: Path) -> None:
    audit.FILE_BYTES = 1  # type: ignore[misc]  # in the child alone
    vault.audit.append("accepted", user="Ana")


def attempt(vault: Vault, _: Path) -> None:
    fail(vault, "Bo")


@pytest.mark.parametrize("stored", ["as few", AS_MANY], indirect=True)
@pytest.mark.parametrize("change", [enroll, add, remove, rekey, append, rotate, attempt])
def test_killed_before_each_system_call(
    home: Path, key: KeyFile, change: Callable[[Vault, Path], None]
) -> None:
    """Repeat one change, dying one system call later each time, until it is done alive."""
    other = home.parent / "other-key"

    def state(vault: Vault) -> list[tuple[str, int]]:
        return [(entry.name, entry.utterances) for entry in vault.users()]

    with Vault.open(home, key) as vault:
        old = state(vault)
    new = {
        enroll: [*old, ("Cy", 2)],
        add: [("Ana", 4), old[1]],
        remove: [old[0]],
    }.get(change, old)
    for countdown in range(200):

        def work(countdown: int = countdown) -> None:
            with Vault.open(home, key) as vault:
                die_after(countdown)
                change(vault, other)

        _, status = os.waitpid(in_child(work), 0)
        opening = key
        if change is rekey and other.exists():
            opening = next(k for k in (key, KeyFile(other)) if opens(home, k))
        with Vault.open(home, opening) as vault:
            now = state(vault)
            assert now in (old, new)
            if now:
                vault.template("Ana", MODEL)
            vault.audit.verify()
            with vault.turn() as turn:
                assert turn.enrolled
        if os.WIFEXITED(status) or now != old or opening is not key:
            break
    assert countdown > 2
    assert status in (0, signal.SIGKILL)  # done, or killed, but never failed
    assert now == new


@pytest.mark.parametrize("change", ["renewed", "removed from", "to a passphrase"])
def test_killed_while_the_key_changes(home: Path, key: KeyFile, change: str) -> None:
    """The vault always opens by what is there, and what it was given before is destroyed then."""
    known: list[KeySource] = [key, passphrase()]
    snapshots = set()
    for countdown in range(200):

        def work(countdown: int = countdown) -> None:
            with Vault.open(home, next(source for source in known if opens(home, source))) as vault:
                if change == "removed from":
                    vault.enroll("Cy", voice(3), MODEL, CONSENT)
                new = passphrase()
                die_after(countdown)
                if change == "removed from":
                    vault.remove("Cy")
                else:
                    vault.rekey(key if change == "renewed" else new)

        _, status = os.waitpid(in_child(work), 0)
        opening = next(source for source in known if opens(home, source))
        snapshots.add(key.path.stat().st_size if key.path.exists() else 0)
        with Vault.open(home, opening) as vault:
            vault.settle_key(key)
            assert vault.audit.verify() >= LINES
            if "Cy" in [entry.name for entry in vault.users()]:
                vault.remove("Cy")
        if opening is key:
            assert key.path.stat().st_size == 48
        else:
            assert not key.path.exists()
            break
        if os.WIFEXITED(status):
            break
    assert status in (0, signal.SIGKILL)
    assert countdown > 5
    assert 80 in snapshots or change == "to a passphrase"  # two keys, of which one opens


def test_half_written_files_go_when_the_vault_is_next_written_to(home: Path, key: KeyFile) -> None:
    torn = [home / ".new-0123456789abcdef", home / "records" / ".new-0123456789abcdef"]
    for path in torn:
        path.write_bytes(b"half a fi")
    with Vault.open(home, key) as vault:
        vault.users()
    assert all(path.exists() for path in torn)  # another process may be writing them
    with Vault.open(home, key) as vault:
        vault.audit.append("accepted")
    assert not any(path.exists() for path in torn)


def opens(home: Path, key: KeySource) -> bool:
    try:
        use_everything(home, key)
    except Exception:
        return False
    return True


def die_after(calls: int) -> None:
    """Make the calls-th further system call of those that change files kill this process."""
    left = [calls]

    def deadly(call: Callable[..., object]) -> Callable[..., object]:
        def wrapper(*args: object, **kwargs: object) -> object:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return call(*args, **kwargs)

        return wrapper

    for name in CALLS:
        setattr(os, name, deadly(getattr(os, name)))


def test_concurrent_writers_lose_no_update(home: Path, key: KeyFile) -> None:
    def writer(seed: int) -> Callable[[], None]:
        def work() -> None:
            with Vault.open(home, key) as vault:
                for step in range(5):
                    vault.add("Ana", voice(100 * seed + step, rows=1), MODEL)
                    fail(vault, "Bo")
                    vault.audit.append("added", writer=seed)

        return work

    children = [in_child(writer(seed)) for seed in range(4)]
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    with Vault.open(home, key) as vault:
        assert len(vault.template("Ana", MODEL).embeddings) == 2 + 4 * 5
        assert vault.audit.verify() == LINES + 4 * 5 * 3
        with vault.turn() as turn:
            assert sorted(bucket.run for bucket in turn.attempts.buckets.values()) == [1, 20, 21]
