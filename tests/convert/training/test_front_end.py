"""The batched front end of the training is that of the device."""

import numpy as np
import pytest

from edge_unlock.encoder.features import FeatureSpec, MfccStream, Normalization, NormalizationStream

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from edge_unlock_convert.training.front_end import FrontEnd  # noqa: E402

SPEC = FeatureSpec()
NORMALIZATION = Normalization(
    mean=tuple(np.linspace(-40, 2, SPEC.coefficients).tolist()),
    deviation=tuple(np.linspace(30, 1, SPEC.coefficients).tolist()),
    prior_frames=50.0,
)


def speech_like(seconds: float, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * 16_000)) / 16_000
    voice = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 30))
    syllables = np.sin(2 * np.pi * 3 * time) ** 2
    return (0.1 * voice * syllables + 0.003 * generator.normal(size=len(time))).astype(np.float32)


@pytest.mark.parametrize(
    "spec",
    [SPEC, FeatureSpec(coefficients=20, filters=26, window_samples=512, preemphasis=0.0)],
)
def test_cepstra_are_those_of_the_device(spec: FeatureSpec) -> None:
    samples = np.stack([speech_like(1.3, seed) for seed in (0, 1)])
    front_end = FrontEnd(spec, 4)
    batched = front_end.cepstrum(front_end.log_mel(torch.from_numpy(samples))).numpy()
    for row, one in zip(batched, samples, strict=True):
        np.testing.assert_allclose(row, MfccStream(spec).push(one), atol=2e-3)


def test_normalized_steps_are_those_of_the_device() -> None:
    samples = speech_like(2.0, 3)
    samples[8000:12000] = 0  # digital silence must be clipped in the same way
    front_end = FrontEnd(SPEC, 4, NORMALIZATION)
    batched = front_end(torch.from_numpy(samples[None]))[0].numpy()
    frames = NormalizationStream(NORMALIZATION).push(MfccStream(SPEC).push(samples))
    steps = len(frames) // 4
    assert batched.shape == (steps, 160)
    np.testing.assert_allclose(batched, frames[: steps * 4].reshape(steps, -1), atol=2e-3)


def test_what_follows_a_row_does_not_change_its_steps() -> None:
    samples = speech_like(1.5, 4)
    padded = np.concatenate((samples, np.zeros(9000, np.float32)))
    front_end = FrontEnd(SPEC, 4, NORMALIZATION)
    steps = int(front_end.steps(torch.tensor([len(samples)]))[0])
    alone = front_end(torch.from_numpy(samples[None]))
    longer = front_end(torch.from_numpy(padded[None]))
    assert alone.shape[1] == steps
    torch.testing.assert_close(longer[:, :steps], alone)
    assert int(front_end.steps(torch.tensor([100]))[0]) == 0
