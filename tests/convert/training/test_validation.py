"""Error rates while training: of held-out speakers only, and not where there is no trial."""

import numpy as np
import pytest

from edge_unlock.encoder.features import FeatureSpec, Normalization

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from edge_unlock_convert.training.front_end import FrontEnd  # noqa: E402
from edge_unlock_convert.training.recipe import Network  # noqa: E402
from edge_unlock_convert.training.student import Student  # noqa: E402
from edge_unlock_convert.training.validation import Validation  # noqa: E402
from edge_unlock_convert.training.voices import VoiceSet  # noqa: E402

RATE_HZ, PIECES = 16_000, 6
NORMALIZATION = Normalization(mean=(0.0,) * 40, deviation=(10.0,) * 40, prior_frames=50.0)


def recorded(pitches: dict[str, float]) -> VoiceSet:
    """Pieces of two seconds, each speaker humming at one pitch."""
    generator, time = np.random.default_rng(0), np.arange(2 * RATE_HZ) / RATE_HZ
    speakers, samples = [], []
    for speaker, pitch_hz in pitches.items():
        for _ in range(PIECES):
            hum = sum(np.sin(2 * np.pi * pitch_hz * k * time) / k for k in range(1, 20))
            speakers.append(speaker)
            samples.append(3000 * hum + generator.normal(0, 100, len(time)))
    return VoiceSet(
        np.concatenate(samples).astype(np.int16),
        np.arange(len(speakers) + 1) * len(time),
        np.array(speakers),
        np.zeros((len(speakers), 4), np.float32),
        np.ones((len(speakers), 3), np.float32),
    )


@pytest.fixture
def student() -> Student:
    torch.manual_seed(0)
    return Student(160, Network(hidden=16, frames_stacked=4), 8)


def rates(student: Student, voices: VoiceSet, held_out: set[str]) -> dict[str, float]:
    validation = Validation(voices, held_out)
    front_end = FrontEnd(FeatureSpec(), 4, NORMALIZATION)
    return validation.error_rates(student.state_dict(), student, front_end)


def test_voices_that_differ_are_told_apart(student: Student) -> None:
    voices = recorded({"a/low": 90, "a/high": 280, "a/trained": 95, "b/alone": 150})
    found = rates(student, voices, {"a/low", "a/high", "b/alone"})
    assert set(found) == {"a 3 s", "a 1 s"}  # b has no impostor, and the trained one is not heard
    assert found["a 3 s"] == 0


def test_one_voice_under_two_names_is_not(student: Student) -> None:
    voices = recorded({"a/one": 120, "a/two": 120})
    found = rates(student, voices, {"a/one", "a/two"})
    assert all(0.2 < rate < 0.8 for rate in found.values())


def test_nobody_held_out_gives_nothing(student: Student) -> None:
    assert rates(student, recorded({"a/one": 120, "a/two": 240}), set()) == {}
