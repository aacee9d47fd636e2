"""What is compared: disturbed as it says, with noise that was not trained on."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch", reason="needs the extra 'train'")
from edge_unlock_convert.evaluation import groups
from edge_unlock_convert.evaluation.groups import RATE_HZ, Group

NOISE = np.random.default_rng(1).normal(0, 0.2, 20 * RATE_HZ).astype(np.float32)


def a_group(*speakers: str) -> Group:
    generator = np.random.default_rng(0)
    samples = [generator.normal(0, 0.05, RATE_HZ).astype(np.float32) for _ in speakers]
    unknown = np.full(len(speakers), "-")
    return Group("words", "words", samples, np.array(speakers), unknown, unknown)


def test_noise_has_the_level_that_it_is_named_after() -> None:
    group = a_group("a", "b")
    conditions = dict(groups.disturbed(group, NOISE))
    for snr_db in groups.SNRS_DB:
        for clean, noisy in zip(group.samples, conditions[f"noise at {snr_db} dB"], strict=True):
            added = noisy - clean
            measured = 10 * np.log10(np.mean(clean**2) / np.mean(added**2))
            assert measured == pytest.approx(snr_db, abs=0.1)


def test_a_room_keeps_the_length_and_changes_the_speech() -> None:
    group = a_group("a")
    (echoing,) = dict(groups.disturbed(group, NOISE))["simulated room"]
    assert len(echoing) == len(group.samples[0])
    assert abs(np.corrcoef(echoing, group.samples[0])[0, 1]) < 0.999


def test_only_some_utterances_of_each_speaker_are_taken() -> None:
    speakers = np.array(["a", "a", "b", "a", "b", "c"])
    chosen = groups.first_of_each(speakers, 2)
    assert chosen.tolist() == [True, True, True, False, True, True]
    assert a_group(*speakers).only(chosen).speakers.tolist() == ["a", "a", "b", "b", "c"]


def test_no_noise_is_both_trained_on_and_tested(tmp_path: Path) -> None:
    lengths_s = [1] * 8 + [40]
    rows = ["path\tsplit\tcorpus\tspeaker\tsex\tage\tseconds"]
    for number, seconds in enumerate(lengths_s, start=1):
        level = np.full(seconds * RATE_HZ, number / 16, np.float32)
        soundfile.write(tmp_path / f"{number}.wav", level, RATE_HZ)
        rows.append(f"{number}.wav\tnoise\troom\tunknown\t-\t-\t{seconds}")
    manifest = tmp_path / "manifest.tsv"
    manifest.write_text("\n".join(rows) + "\n")
    trained, tested = (groups.split_noise(manifest, training=part) for part in (True, False))
    short_only = [set(part[part < 0.53].tolist()) for part in (trained, tested)]
    assert not short_only[0] & short_only[1]
    assert len(trained) == (6 + groups.LONG_NOISE_S) * RATE_HZ
    assert len(tested) == (2 + 10) * RATE_HZ
