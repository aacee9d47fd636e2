"""Fixtures that many tests share."""

from pathlib import Path

import pytest

from edge_unlock.encoder import Encoder
from edge_unlock.model import ModelPackage
from tests import speech


@pytest.fixture(scope="session")
def package() -> ModelPackage:
    """The model package that ships."""
    return ModelPackage.load()


@pytest.fixture(scope="session")
def encoder(package: ModelPackage) -> Encoder:
    return Encoder(package)


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Two human speakers, five recordings each, as WAV files with silence around the voice."""
    directory = tmp_path_factory.mktemp("people")
    return speech.write_speakers(directory, ("alice", "bob"), 5)
