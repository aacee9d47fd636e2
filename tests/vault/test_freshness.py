"""Putting back older files of the state directory: what is noticed."""

import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from edge_unlock.errors import AuthenticationError, EdgeUnlockError, LockedOutError
from edge_unlock.vault import KeyFile, Vault, container
from edge_unlock.vault.attempts import TEMPLATE
from edge_unlock.vault.state import LEGACY_FILES, STATE
from edge_unlock.vault.store import MANIFEST

from .conftest import AS_MANY, LINES, MODEL, check, fail

PARTS = ("manifest.euv", "state.eus", "audit.log", "records")


def five_failures(vault: Vault, _: Path) -> None:
    for _ in range(TEMPLATE.capacity - 1):  # the vault begins with one
        fail(vault, "Ana")


def remove(vault: Vault, _: Path) -> None:
    vault.remove("Bo")


def rekey(vault: Vault, elsewhere: Path) -> None:
    vault.rekey(KeyFile(elsewhere))


def put_back(old: Path, home: Path, parts: tuple[str, ...]) -> None:
    for part in parts:
        if (old / part).is_dir():
            for record in (old / part).iterdir():
                shutil.copy(record, home / part)  # who adds, removes nothing
        else:
            shutil.copy(old / part, home / part)


def outcome(home: Path, key: KeyFile) -> str:
    """What a decision and ``doctor`` make of the files: both open the vault so."""
    try:
        with Vault.open(home, key) as vault:
            vault.audit.verify()
            people = "+".join(template.user for template in vault.templates(MODEL))
            try:
                check(vault, "Ana")
            except LockedOutError:
                return f"{people}, locked out"
            return people
    except EdgeUnlockError:
        return "refused"


@pytest.mark.parametrize("stored", ["as few", AS_MANY], indirect=True)
@pytest.mark.parametrize(
    ("change", "present"),
    [(five_failures, "Ana+Bo, locked out"), (remove, "Ana"), (rekey, "Ana+Bo")],
)
def test_what_is_put_back_is_noticed(
    home: Path, key: KeyFile, change: Callable[[Vault, Path], None], present: str
) -> None:
    """Every file alone, in pairs and in threes: never anything but the present state or a refusal.

    Only records by themselves are ignored, for nothing names them. All together, or all but those
    that are the same now, are an older copy of the whole, which nothing on the disk can tell.
    """
    old = home.with_name("old")
    shutil.copytree(home, old)
    other = home.with_name("other")
    with Vault.open(home, key) as vault:
        change(vault, other)
    opening = KeyFile(other) if change is rekey else key
    assert outcome(home, opening) == present
    now = home.with_name("now")
    shutil.copytree(home, now)
    table = {}
    for count in (1, 2, 3):
        for parts in itertools.combinations(PARTS, count):
            shutil.rmtree(home)
            shutil.copytree(now, home)
            put_back(old, home, parts)
            keys = {opening, key}
            table[parts] = {outcome(home, one) for one in keys}
            print(f"{change.__name__:14} {'+'.join(parts):40} {', '.join(sorted(table[parts]))}")
    assert present in table.pop(("records",))
    if change is five_failures:
        assert table.pop(PARTS[:3]) == {"Ana+Bo"}  # the records never changed
    assert all(found == {"refused"} for found in table.values())
    put_back(old, home, PARTS)
    # an older copy of the whole opens, unless its key went with the change
    assert outcome(home, key) == ("Ana+Bo" if change is five_failures else "refused")


def test_a_copy_of_any_moment_within_a_change_shows_no_more_than_that_change(
    home: Path, key: KeyFile
) -> None:
    """The unsettled state, from the middle of a failure, put back after others: refused."""
    middle = home.with_name("middle")
    with Vault.open(home, key) as vault:
        with pytest.raises(ZeroDivisionError), vault.turn() as turn:
            turn.charge(turn.attempts.charge(["Ana"]))
            shutil.copytree(home, middle)
            raise ZeroDivisionError  # as good as a crash
        vault.enable()
        for _ in range(2):
            fail(vault, "Ana")
    now = home.with_name("now")
    shutil.copytree(home, now)
    for count in (1, 2, 3):
        for parts in itertools.combinations(PARTS[:3], count):
            shutil.rmtree(home)
            shutil.copytree(now, home)
            put_back(middle, home, parts)
            found = outcome(home, key)
            assert found == ("refused" if count < 3 else "Ana+Bo"), parts


def test_a_decision_is_refused_in_a_vault_that_is_open_already(home: Path, key: KeyFile) -> None:
    old = (home / STATE).read_bytes()
    with Vault.open(home, key) as vault:
        fail(vault, "Ana")
        (home / STATE).write_bytes(old)
        with pytest.raises(AuthenticationError, match="not of one time"), vault.turn():
            pass


def test_an_interrupted_change_is_finished_and_told(home: Path, key: KeyFile) -> None:
    with Vault.open(home, key) as vault:
        with pytest.raises(ZeroDivisionError), vault.turn() as turn:
            turn.charge(turn.attempts.charge(["Ana"]))
            raise ZeroDivisionError
        assert vault.audit.verify() == LINES
        with vault.turn() as turn:
            assert turn.attempts.buckets["device"].run == 2  # it counts
        assert vault.audit.verify() == LINES + 1
    assert b'"interrupted"' in (home / "audit.log").read_bytes()


@pytest.fixture
def legacy(home: Path, key: KeyFile) -> Path:
    """The vault as it was before its files shared a turn, with Ana locked out."""
    with Vault.open(home, key) as vault, vault._store.writing() as snapshot:
        old = replace(snapshot, manifest=replace(snapshot.manifest, turn=None))
        counters = {sha256(b"Ana").hexdigest()[:32]: (7, "boot", 1.0)}
        sections = {**snapshot.state.sections, "attempts": json.dumps(counters).encode()}
        for purpose, name in LEGACY_FILES.items():
            context = container.Context(purpose, old.vault_id)
            blob = container.seal(sections[purpose], old.journal_key(purpose), context)
            vault._store.home.replace(name, blob)
        vault._store.home.replace(MANIFEST, old.to_bytes())
        vault._store.home.remove(STATE)
    return home


def test_an_old_vault_is_read_and_migrated_at_the_first_writing(legacy: Path, key: KeyFile) -> None:
    before = {path: path.read_bytes() for path in legacy.rglob("*") if path.is_file()}
    with Vault.open(legacy, key) as vault:
        assert vault.audit.verify() == LINES
    assert before == {path: path.read_bytes() for path in legacy.rglob("*") if path.is_file()}
    assert outcome(legacy, key) == "Ana+Bo, locked out"
    assert b'"migrated"' in (legacy / "audit.log").read_bytes()
    assert not any((legacy / name).exists() for name in LEGACY_FILES.values())


def test_a_migrated_vault_takes_no_old_files(legacy: Path, key: KeyFile) -> None:
    old = legacy.with_name("old")
    shutil.copytree(legacy, old)
    with Vault.open(legacy, key) as vault:
        fail(vault, "Bo")
    for parts in (
        tuple(LEGACY_FILES.values()),
        (MANIFEST,),
        (MANIFEST, *LEGACY_FILES.values()),
    ):
        copy = legacy.with_name("copy")
        shutil.copytree(legacy, copy)
        put_back(old, copy, parts)
        expected = "refused" if MANIFEST in parts else "Ana+Bo, locked out"
        assert outcome(copy, key) == expected
        if MANIFEST in parts:  # and the new state deleted, but for the log the whole is old
            (copy / STATE).unlink()
            assert outcome(copy, key) == "refused"
        shutil.rmtree(copy)
