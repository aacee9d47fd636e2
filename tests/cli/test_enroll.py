import json

import numpy as np
import pytest
import soundfile

from edge_unlock.encoder.calibration import Quality
from edge_unlock.scoring.scorer import Scorer
from tests.cli.conftest import assert_error


def test_enrolling_tells_progress_and_stores_consent(initialized, people):
    result = initialized.enroll("alice", people["alice"][:3])
    assert result.exit_code == 0
    assert "33%" in result.stderr and "100%" in result.stderr
    assert "enrolled: alice (3 utterances)" in result.stdout
    entry = json.loads(initialized.run("list", "--json").stdout)
    assert entry["user"] == "alice" and entry["utterances"] == 3
    assert entry["consent"]["purpose"] and not entry["stale"]


def test_json_names_each_utterance(initialized, people):
    result = initialized.enroll("alice", people["alice"][:2], "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line.get("result") for line in lines] == ["ok", "ok", None]
    assert lines[1]["progress"] == 1.0
    rate = lines[2].pop("rejection_rate")
    assert 0 <= rate <= 1
    kept = [str(path) for path in people["alice"][:2]]
    assert lines[2] == {"enrolled": "alice", "utterances": 2, "kept": kept, "dropped": []}


def test_without_consent_nothing_is_stored(initialized, people):
    before = initialized.state()
    result = initialized.run("enroll", "alice", "--input", people["alice"][0], stdin="n\n")
    assert result.exit_code == 1
    assert initialized.state() == before
    arguments = [part for path in people["alice"][:3] for part in ("--input", path)]
    assert initialized.run("enroll", "alice", *arguments, stdin="y\n").exit_code == 0


def test_an_enrolled_name_asks_for_replace_or_add(enrolled, people):
    before = enrolled.state()
    result = enrolled.enroll("alice", people["alice"][:3])
    assert_error(result, 1, "alice", "enrolled already")
    assert "--replace" in result.stderr and "--add" in result.stderr
    assert enrolled.state() == before
    assert enrolled.enroll("alice", people["alice"][4:], "--add").exit_code == 0
    assert json.loads(enrolled.run("list", "--json").stdout)["utterances"] == 5
    assert enrolled.enroll("alice", people["bob"][:3], "--replace").exit_code == 0
    assert json.loads(enrolled.run("list", "--json").stdout)["utterances"] == 3
    assert enrolled.run("verify", "alice", "--input", people["bob"][4]).exit_code == 0
    assert enrolled.enroll("alice", people["bob"], "--add", "--replace").exit_code == 2


@pytest.mark.parametrize("place", [0, 2, 3])
def test_another_speaker_among_the_utterances_is_left_out(initialized, people, place):
    mixed = people["alice"][:3]
    mixed.insert(place, people["bob"][0])
    result = initialized.enroll("alice", mixed)
    assert result.exit_code == 0
    assert f"{people['bob'][0].name}: another speaker" in result.stderr
    assert "1 of 4 inputs were not kept" in result.stderr
    assert "3 utterances" in result.stdout
    told = json.loads(
        initialized.enroll("alice", mixed, "--replace", "--json").stdout.splitlines()[-1]
    )
    assert told["kept"] == [str(path) for path in people["alice"][:3]]
    assert told["dropped"] == [{"utterance": str(people["bob"][0]), "reason": "another speaker"}]
    assert initialized.run("verify", "alice", "--input", people["alice"][4]).exit_code == 0
    assert initialized.run("verify", "alice", "--input", people["bob"][4]).exit_code == 3


@pytest.mark.parametrize("alices, bobs", [(1, 1), (2, 2), (3, 2)])
def test_halves_of_two_persons_store_nothing(initialized, people, alices, bobs):
    before = initialized.state()
    result = initialized.enroll("alice", [*people["alice"][:alices], *people["bob"][:bobs]])
    assert_error(result, 4, "2 voices")
    assert initialized.state() == before


def test_fewer_than_three_good_inputs_of_more_store_nothing(initialized, people, poor):
    before = initialized.state()
    result = initialized.enroll("alice", [*people["alice"][:2], poor["clipped"]])
    assert_error(result, 4, "2 usable utterances", "3 are needed")
    assert initialized.state() == before
    result = initialized.enroll("alice", [*people["alice"][:2], people["bob"][0]])
    assert_error(result, 4, "2 usable utterances", "3 are needed")
    assert initialized.state() == before


def test_nothing_of_another_person_is_added(enrolled, people):
    before = enrolled.state()
    assert_error(enrolled.enroll("alice", people["bob"], "--add"), 4, "0 usable utterances")
    assert enrolled.state() == before


def test_it_ends_with_how_good_the_template_is(initialized, people):
    assert "Expect to repeat yourself" in initialized.enroll("alice", people["alice"]).stderr
    alone = initialized.enroll("bob", people["bob"][:1])
    assert alone.exit_code == 0 and "Expect" not in alone.stderr


def test_a_person_may_have_an_operating_point_of_their_own(initialized, people, package):
    points = sorted(package.manifest.operating_points, key=lambda point: point.threshold)
    for point in points:
        options = ("--replace", "--operating-point", point.name)
        assert initialized.enroll("alice", people["alice"][:3], *options).exit_code == 0
        assert json.loads(initialized.run("list", "--json").stdout)["operating_point"] == point.name
        result = initialized.run(
            "verify", "alice", "--json", "--show-scores", "--input", people["alice"][4]
        )
        told = json.loads(result.stdout)
        quality = Quality(told["seconds"], told["magnitude"])
        expected = Scorer(package).threshold(point.name, quality=quality)
        assert told["threshold"] == pytest.approx(expected, abs=1e-3)  # seconds are told rounded
    before = initialized.state()
    unknown = initialized.enroll("alice", people["alice"], "--replace", "--operating-point", "x")
    assert_error(unknown, 1, "operating point")
    assert initialized.state() == before


@pytest.fixture
def poor(tmp_path, people):
    """One good recording spoiled in each way."""
    voice, rate = soundfile.read(people["alice"][0], dtype="float32")
    room = np.random.default_rng(1).normal(0, 3e-4, voice.size).astype(np.float32)
    loudness = np.sqrt(np.mean(np.square(voice[rate:-rate])))
    noise = np.random.default_rng(2).normal(0, 0.7 * loudness, voice.size).astype(np.float32)
    spoiled = {
        "no voice found": room,
        "too quiet": 0.03 * voice + 0.03 * room,
        "too noisy": voice + noise,
        "clipped": np.clip(40 * voice, -1, 1),
    }
    paths = {}
    for fault, samples in spoiled.items():
        paths[fault] = tmp_path / f"{fault.replace(' ', '-')}.wav"
        soundfile.write(paths[fault], samples, rate)
    return paths


@pytest.mark.parametrize("fault", ["no voice found", "too quiet", "too noisy", "clipped"])
def test_a_poor_utterance_is_named_and_the_good_ones_are_kept(initialized, people, poor, fault):
    result = initialized.enroll("alice", [*people["alice"][:2], poor[fault], people["alice"][3]])
    assert result.exit_code == 0
    assert f"{poor[fault].name}: {fault}." in result.stderr
    assert "3 utterances" in result.stdout


def test_too_little_speech_stores_nothing(initialized, poor):
    before = initialized.state()
    assert_error(initialized.enroll("alice", [poor["no voice found"]]), 4, "usable utterances")
    assert initialized.state() == before


@pytest.mark.parametrize(
    "name", ["../x", "", "x" * 300, "a\nb", "a\x1b[2J", "/etc/passwd", ".", "-x\x00"]
)
def test_hostile_names_are_refused(initialized, people, name):
    before = initialized.state()
    inputs = [part for path in people["alice"][:3] for part in ("--input", path)]
    result = initialized.run("enroll", "--consent", *inputs, "--", name)
    assert_error(result, 1)
    assert initialized.state() == before
    assert "\x1b" not in result.stderr


def test_without_a_vault_the_hint_says_init(installation, people):
    result = installation.enroll("alice", people["alice"])
    assert_error(result, 1)
    assert "init" in result.stderr
