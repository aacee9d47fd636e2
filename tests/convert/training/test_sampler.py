"""What the sampler says about the space of the teacher."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from edge_unlock_convert.training.recipe import Recipe  # noqa: E402
from edge_unlock_convert.training.sampler import Sampler  # noqa: E402
from edge_unlock_convert.training.voices import VoiceSet  # noqa: E402

PIECES, SIZE, SAMPLES = 400, 8, 16_000


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    """Voices whose teacher hears much of some directions and little of others."""
    generator = np.random.default_rng(5)
    width = 2.0 ** -np.arange(SIZE)
    mixed, _ = np.linalg.qr(generator.normal(size=(SIZE, SIZE)))
    heard = (generator.normal(size=(PIECES, SIZE)) * width) @ mixed
    voices = VoiceSet(
        audio=np.zeros(PIECES * SAMPLES, np.int16),
        offsets=np.arange(PIECES + 1) * SAMPLES,
        speakers=np.array([f"speech/p{number // 2}" for number in range(PIECES)]),
        embeddings=(heard / np.linalg.norm(heard, axis=1, keepdims=True)).astype(np.float32),
        transforms=np.zeros((PIECES, 4), np.float32),
    )
    return Sampler(Recipe(name="tiny"), [voices])


@pytest.mark.parametrize("power", [0.2, 0.5])
def test_spread_lowers_the_differences_of_variance_by_its_power(
    sampler: Sampler, power: float
) -> None:
    targets = sampler.batch(np.random.default_rng(0), pieces=5000).targets.double()
    before = torch.linalg.eigvalsh(torch.cov(targets.T))
    after = torch.linalg.eigvalsh(torch.cov((targets @ sampler.spread(power).double().T).T))
    narrowing = (after[-1] / after[0]).log() / (before[-1] / before[0]).log()
    assert narrowing == pytest.approx(1 - 2 * power, abs=0.05)


def test_no_spread_is_the_identity(sampler: Sampler) -> None:
    assert torch.allclose(sampler.spread(0.0), torch.eye(SIZE), atol=1e-5)
