"""What is compared: disturbed as it says, with noise that was not trained on."""

import numpy as np
import pytest

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
