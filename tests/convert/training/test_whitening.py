"""Whitening: which directions it evens out, and that it leaves the rest alone."""

import numpy as np
import pytest

from edge_unlock_convert.training import whitening

DEVIATIONS = np.array([4.0, 2.0, 1.0, 0.5])


def embeddings(seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (generator.normal(size=(20_000, 4)) * DEVIATIONS + 3).astype(np.float32)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_deviations_are_divided_by_their_power(power: float) -> None:
    spread = (embeddings() @ whitening.of_all(embeddings(), power)).std(axis=0)
    assert spread / spread[2] == pytest.approx(DEVIATIONS ** (1 - power), rel=0.05)


def test_only_what_varies_within_a_voice_is_evened_out() -> None:
    generator = np.random.default_rng(1)
    within = np.array([1.0, 0.1, 1.0, 1.0])
    voices = [
        (center + generator.normal(size=(5, 4)) * within).astype(np.float32)
        for center in embeddings(2)[:500]
    ]
    matrix = whitening.within_voices(voices, 1.0)
    assert np.diag(matrix) / matrix[0, 0] == pytest.approx([1, 10, 1, 1], rel=0.15)
    assert whitening.within_voices([voice[:1] for voice in voices], 1.0) == pytest.approx(np.eye(4))


def test_a_direction_without_any_variance_stays_finite() -> None:
    flat = embeddings()
    flat[:, 3] = 0
    assert np.isfinite(whitening.of_all(flat, 1.0)).all()
