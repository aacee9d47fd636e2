"""Disturbances: each does what its key says, and nothing else."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from edge_unlock_convert.training.augment import Augmenter  # noqa: E402
from edge_unlock_convert.training.recipe import Augmentation  # noqa: E402

NONE = {
    "room": 0.0,
    "colour": 0.0,
    "low_pass": 0.0,
    "noise": 0.0,
    "babble": 0.0,
    "clipping": 0.0,
    "mu_law": 0.0,
    "band_mask": 0.0,
}
ROWS, SAMPLES, FRAMES = 8, 16_000, 60


def augmenter(**settings: object) -> Augmenter:
    return Augmenter(Augmentation(**{"rooms": 2, "gain_db": (0.0, 0.0), **NONE, **settings}), None)


def generator() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture
def speech() -> "torch.Tensor":
    time = torch.arange(SAMPLES) / 16_000
    pitches = torch.linspace(100, 300, ROWS)[:, None]
    return torch.sin(2 * np.pi * pitches * time)


@pytest.fixture
def log_mel() -> "torch.Tensor":
    """Every frame is another than every other."""
    return torch.arange(ROWS * FRAMES * 4).reshape(ROWS, FRAMES, 4).float()


def test_without_disturbances_speech_stays_as_it_is(speech: "torch.Tensor") -> None:
    assert torch.allclose(augmenter().samples(speech, generator()), speech, atol=1e-3)


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 30.0])
def test_noise_lies_as_far_below_the_speech_as_asked(speech: "torch.Tensor", snr_db: float) -> None:
    noisy = augmenter(noise=1.0, noise_snr_db=(snr_db, snr_db)).samples(speech, generator())
    scale = (noisy * speech).sum(1) / speech.square().sum(1)  # noise is not correlated with it
    noise = noisy - scale[:, None] * speech
    measured = 10 * torch.log10((scale[:, None] * speech).square().sum(1) / noise.square().sum(1))
    assert measured.numpy() == pytest.approx(snr_db, abs=0.5)


def test_gain_is_within_its_bounds(speech: "torch.Tensor") -> None:
    peaks = augmenter(gain_db=(-20.0, -10.0)).samples(speech, generator()).abs().amax(1)
    level_db = 20 * torch.log10(peaks).numpy()
    assert level_db.min() >= -20.1
    assert level_db.max() <= -9.9
    assert np.ptp(level_db) > 1


def test_a_call_has_nothing_above_its_band(speech: "torch.Tensor") -> None:
    noise = torch.from_numpy(generator().normal(0, 0.1, speech.shape).astype(np.float32))

    def power(**settings: float) -> "torch.Tensor":
        heard = augmenter(**settings).samples(noise, generator())
        return torch.fft.rfft(heard * torch.hann_window(SAMPLES)).abs().square()

    called, heard = power(call=1.0), power(telephone=1.0)
    hz = torch.fft.rfftfreq(SAMPLES, 1 / 16_000)
    within, above = (hz > 500) & (hz < 3_000), hz > 4_500
    assert (called[:, above].mean(1) < 1e-8 * called[:, within].mean(1)).all()
    assert (heard[:, above].mean(1) > 1e-5 * heard[:, within].mean(1)).all()
    assert torch.isfinite(augmenter(call=1e-9).samples(speech, generator())).all()  # none is drawn


def test_shuffling_keeps_every_frame_and_what_follows_the_end() -> None:
    longest = 12
    mixer = augmenter(shuffle=1.0, shuffle_frames=longest)
    before = torch.arange(FRAMES)
    for after in mixer.order(np.full(ROWS, 45), FRAMES, generator()):
        assert torch.equal(after[45:], before[45:])
        assert torch.equal(after[:45].sort().values, before[:45])
        assert not torch.equal(after, before)
        cuts = int((after[1:45] - after[:44] != 1).sum())
        assert 45 / longest - 2 <= cuts <= 45 / (longest / 3) + 1, "parts of another length"


def test_shuffling_a_share_leaves_the_other_rows() -> None:
    counts = np.full(50 * ROWS, FRAMES)
    order = augmenter(shuffle=0.4, shuffle_frames=6).order(counts, FRAMES, generator())
    changed = (order != torch.arange(FRAMES)).any(1).float().mean()
    assert float(changed) == pytest.approx(0.4, abs=0.1)


def test_shuffling_nothing_gives_nothing() -> None:
    order = augmenter(shuffle=1.0).order(np.zeros(ROWS, np.int64), FRAMES, generator())
    assert torch.equal(order, torch.arange(FRAMES).expand(ROWS, -1))


def test_a_masked_band_says_nothing_of_the_row(log_mel: "torch.Tensor") -> None:
    masked = augmenter(band_mask=1.0, band_mask_filters=2).mask_bands(log_mel, generator())
    mean = log_mel.mean((0, 1))
    for row, before in zip(masked, log_mel, strict=True):
        changed = (row != before).any(0)
        assert 1 <= int(changed.sum()) <= 2
        assert torch.equal(row[:, changed], mean[changed].expand(FRAMES, -1))


def test_the_same_generator_disturbs_alike(speech: "torch.Tensor") -> None:
    strong = augmenter(room=0.5, colour=0.5, noise=0.5, babble=0.5, clipping=0.5, mu_law=0.5)
    first, again = (strong.samples(speech, generator()) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, strong.samples(speech, np.random.default_rng(6)))
