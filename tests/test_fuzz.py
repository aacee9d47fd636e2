"""A short run of ``tests.fuzz``; the long one is a script."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import Targets, fuzz

KINDS = ("config", "manifest", "cohort", "export", "state")


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Targets]:
    before = os.umask(0o077)
    yield Targets(Path(tmp_path_factory.mktemp("fuzz")))
    os.umask(before)


@pytest.mark.parametrize("kind", KINDS)
def test_mutations_are_refused_or_harmless(targets: Targets, kind: str) -> None:
    assert set(targets.all) == set(KINDS)
    outcomes = fuzz(targets.all[kind], 100, seed=2)
    assert outcomes["refused"] > 10, outcomes
