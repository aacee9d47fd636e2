"""What shapes do to the directions of a space."""

import numpy as np
import pytest

from edge_unlock.encoder.similarity import unit

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from edge_unlock_convert.training import shaping  # noqa: E402

SIZE = 8


def directions(generator: np.random.Generator) -> np.ndarray:
    return np.linalg.qr(generator.normal(size=(SIZE, SIZE)))[0]


@pytest.mark.parametrize("power", [0.2, 0.5])
def test_spread_lowers_the_differences_of_variance_by_its_power(power: float) -> None:
    generator = np.random.default_rng(5)
    width = 1.6 ** -np.arange(SIZE)
    heard = (generator.normal(size=(5000, SIZE)) * width) @ directions(generator)
    targets = unit(heard - heard.mean(axis=0))
    before = np.linalg.eigvalsh(np.cov(targets.T))
    after = np.linalg.eigvalsh(np.cov((targets @ shaping.spread(targets, power).numpy()).T))
    narrowing = np.log(after[-1] / after[0]) / np.log(before[-1] / before[0])
    assert narrowing == pytest.approx(1 - 2 * power, abs=0.01)


def test_no_power_is_the_identity() -> None:
    heard = np.random.default_rng(0).normal(size=(100, SIZE)).astype(np.float32)
    voices = np.repeat(["a", "b"], 50)
    for shape in (shaping.spread(heard, 0.0), shaping.within(heard, voices, 0.0)):
        assert torch.allclose(shape, torch.eye(SIZE), atol=1e-5)


def test_what_differs_within_voices_counts_less_whatever_differs_among_them() -> None:
    generator = np.random.default_rng(1)
    mixed = directions(generator)
    among = generator.normal(size=(40, SIZE)) * np.linspace(3, 1, SIZE)
    scatter = generator.normal(size=(40, 10, SIZE)) * np.linspace(0.1, 1, SIZE)
    heard = ((among[:, None] + scatter) @ mixed).reshape(-1, SIZE).astype(np.float32)
    voices = np.repeat([f"speech/p{number}" for number in range(40)], 10)
    shape = shaping.within(heard, voices, 0.5).double().numpy()
    lengths = np.linalg.norm(mixed @ shape, axis=1)
    # half of the variance counts as even
    variance = np.linspace(0.1, 1, SIZE) ** 2
    expected = (0.5 * variance + 0.5 * variance.mean()) ** -0.5
    np.testing.assert_allclose(lengths / lengths[-1], expected / expected[-1], rtol=0.1)


def test_voices_of_one_piece_shape_nothing() -> None:
    heard = np.random.default_rng(0).normal(size=(3, SIZE)).astype(np.float32)
    assert torch.equal(shaping.within(heard, np.array(["a", "b", "c"]), 0.5), torch.eye(SIZE))


def test_a_rotation_is_found_again_in_noise_and_keeps_cosines() -> None:
    generator = np.random.default_rng(2)
    targets = unit(generator.normal(size=(500, SIZE))).astype(np.float32)
    turned = directions(generator)
    heard = (targets @ turned + 0.1 * generator.normal(size=targets.shape)).astype(np.float32)
    found = shaping.rotation(heard, targets).numpy()
    np.testing.assert_allclose(found, turned, atol=0.05)
    np.testing.assert_allclose(found @ found.T, np.eye(SIZE), atol=1e-5)


@pytest.mark.parametrize(("coefficients", "fine"), [(8, 2), (5, 1), (3, 0)])
def test_a_lifter_lowers_the_last_quarter_of_every_frame(coefficients: int, fine: int) -> None:
    state = {"lstm.weight_ih_l0": torch.ones(16, 2 * coefficients)}
    shaping.lifter(state, coefficients, 0.5)
    frame = [1.0] * (coefficients - fine) + [0.5] * fine
    assert state["lstm.weight_ih_l0"][0].tolist() == 2 * frame
