"""Attempts at once, and attempts that are killed: never more than are charged."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_unlock.lock.gatekeeper import Gatekeeper
from edge_unlock.vault import Vault
from edge_unlock.vault.attempts import TEMPLATE

from . import killing

PROCESSES = 50


@pytest.mark.parametrize("way", ["plain", "reader", "barrier"])
@pytest.mark.parametrize("names", [("owner",), ("owner", None)], ids=["verify", "verify+identify"])
def test_many_at_once_get_what_one_would(
    tmp_path: Path, way: str, names: tuple[str | None]
) -> None:
    """``plain``: each starts when it is forked. ``reader``: none gets the lock until all started.

    ``barrier``: all have the vault open before any goes on.
    """
    home, key = killing.found(tmp_path)
    owner = killing.voice(1).embedding
    near = killing.near_voice(killing.Scorer(killing.ModelPackage.load()), owner)
    recognizer = killing.Prepared([near])
    reports, report = os.pipe()
    started, start = os.pipe()
    gate, opening = os.pipe()

    def read(_: str | None) -> None:
        os.close(opening)
        with Vault.open(home, key) as vault, vault._store.reading():
            os.write(start, b".")
            os.read(gate, 1)

    def attempt(name: str | None) -> None:
        os.close(opening)
        recognizer.report = lambda: os.write(report, b".")
        recognizer.charges_all = name is not None
        gatekeeper = Gatekeeper(Vault.open(home, key), recognizer, name)
        os.write(start, b".")
        if way == "barrier":
            os.read(gate, 1)
        gatekeeper.judge(killing.HEARD)

    children = []
    if way == "reader":
        children = [fork(read, None)]
        os.read(started, 1)
    children += [fork(attempt, names[number % len(names)]) for number in range(PROCESSES)]
    for _ in range(PROCESSES):
        os.read(started, 1)
    os.close(opening)
    assert {os.waitpid(child, 0)[1] for child in children} == {0}
    os.close(report)
    with os.fdopen(reports, "rb") as compared:
        assert len(compared.read()) == TEMPLATE.capacity
    for descriptor in (started, start, gate):
        os.close(descriptor)


def fork(work: Callable[[str | None], None], name: str | None) -> int:
    child = os.fork()
    if child == 0:
        try:
            work(name)
            os._exit(0)
        finally:
            os._exit(1)
    return child


def test_what_is_killed_was_charged() -> None:
    compared, charged = killing.kill_at_random(30, seed=1)
    assert 0 < compared <= charged
