from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge_unlock.encoder.calibration import Calibration, Quality
from edge_unlock.encoder.package import ModelPackage, OperatingPoint
from edge_unlock.encoder.similarity import Similarity, unit
from edge_unlock_convert.corpus import Utterance
from edge_unlock_convert.errors import SpeechError
from edge_unlock_convert.evaluation import scores
from edge_unlock_convert.evaluation.design import Design
from edge_unlock_convert.evaluation.listening import Voices


@pytest.mark.parametrize("cells", [1, 90, 2**24])
def test_scores_of_pairs_are_those_of_the_whole_matrix(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "MOST_CELLS", cells)
    generator = np.random.default_rng(0)
    cohort, templates, voices = (
        unit(generator.normal(size=(count, 8)).astype(np.float32)) for count in (20, 9, 30)
    )
    similarity = Similarity(cohort, 5, 0.7)
    template, test = generator.integers(0, 9, 100), generator.integers(0, 30, 100)
    found = scores.pair_scores(templates, voices, template, test, similarity)
    every = similarity.scores(templates, voices)
    np.testing.assert_allclose(found, every[template, test], atol=1e-6)


def test_the_device_is_measured_by_its_own_thresholds(package: Path) -> None:
    """Scores, likelihood ratios and decisions are those of its parts, trial by trial."""
    loaded = ModelPackage.load(package)
    calibration = Calibration(slope=8.0, offset=-2.0, seconds_weight=0.5)
    points = (OperatingPoint(name="door", false_accept_rate=0.01, threshold=0.3),)
    manifest = msgspec.structs.replace(
        loaded.manifest,
        calibration=calibration,
        operating_points=points,
        default_operating_point="door",
        nontarget=None,
    )
    loaded = loaded._replace(manifest=manifest)
    generator = np.random.default_rng(0)
    size = manifest.encoder.embedding_size
    embeddings = generator.normal(size=(6, size)).astype(np.float32)
    seconds = np.array([0.5, 1, 2, 3, 4, 9], np.float32)
    refused = np.array([0, 0, 0, 1, 0, 0], np.float32)
    voices = Voices(embeddings, seconds, seconds, seconds, seconds, refused)
    design = Design(
        [Utterance(Path(f"{number}.wav"), "", "c", "") for number in range(6)],
        np.array([0, 0, 0, 0, 1, 1]),
        [(0, 1), (4,)],
        np.array([0, 0, 1, 1]),
        np.array([2, 3, 5, 3]),
        np.array([True, True, True, False]),
        np.zeros(4, bool),
    )
    found = scores.device_scores(loaded, design, embeddings, voices)
    own = unit(embeddings)
    templates = unit(np.stack([own[:2].mean(axis=0), own[4]]))
    for row, (template, test) in enumerate(zip(design.template, design.test, strict=True)):
        score = loaded.similarity.scores(templates[template][None], own[test][None])[0, 0]
        heard = Quality(float(seconds[test]), float(np.linalg.norm(embeddings[test])))
        llr = calibration.llr(score, heard)
        assert found.llr is not None and found.llr[row] == pytest.approx(llr, abs=1e-5)
        assert found.accepted["door"][row] == (llr >= calibration.llr(0.3))
    assert found.trials.scores is found.llr
    assert found.judged is not None and found.judged.tolist() == [True, False, True, False]


def test_a_recording_without_an_embedding_is_named() -> None:
    embeddings = np.ones((2, 4), np.float32)
    embeddings[1] = 0
    design = Design(
        [Utterance(Path(name), "", "c", "") for name in ("one.wav", "silent.wav")],
        np.array([0, 1]),
        [(0,)],
        np.array([0]),
        np.array([1]),
        np.array([False]),
        np.zeros(1, bool),
    )
    with pytest.raises(SpeechError, match=r"silent\.wav"):
        scores.plain_scores(design, embeddings, Similarity(None))
