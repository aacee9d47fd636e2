"""Fixtures that many tests share."""

import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from edge_unlock.audio import File
from edge_unlock.encoder.encoder import Encoder
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.lock.hearing import Heard, hear
from edge_unlock.segmentation.segment import Segmenter
from tests import speech

# how long an example takes says more of the machine than of us
hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")


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


@pytest.fixture(scope="session")
def heard(people: dict[str, list[Path]]) -> dict[str, list[list[Heard]]]:
    """What is heard in each recording of each person."""
    return {name: [_hear(path) for path in paths] for name, paths in people.items()}


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Lets children heed SIGINT, even if pytest was started to ignore it (as a background job)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _hear(path: Path) -> list[Heard]:
    with File(path) as source:
        return list(hear(source, Segmenter()))
