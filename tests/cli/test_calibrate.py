"""``calibrate`` on real voices: what it tells, stores and forgets."""

import json

import pytest
import soundfile
import soxr

from .conftest import assert_error

SPEEDS = (0.75, 0.85, 1.2, 1.35)
"""Played so much faster, a voice is another person's: its pitch and its formants move."""


@pytest.fixture(scope="session")
def others(people, tmp_path_factory):
    """Recordings of eight people who are not enrolled, three each."""
    directory = tmp_path_factory.mktemp("others")
    paths = []
    for name, recordings in people.items():
        for speed in SPEEDS:
            for number, recording in enumerate(recordings[:3]):
                samples, rate_hz = soundfile.read(recording, dtype="float32")
                path = directory / f"{name}-{speed}-{number}.wav"
                soundfile.write(path, soxr.resample(samples, speed * rate_hz, rate_hz), rate_hz)
                paths.append(path)
    return paths


def calibrate(installation, paths, *options, **arguments):
    inputs = [part for path in paths for part in ("--impostors", path)]
    return installation.run("calibrate", *inputs, *options, **arguments)


def threshold(installation, path):
    result = installation.run("verify", "alice", "--input", path, "--json", "--show-scores")
    return json.loads(result.stdout)["threshold"]


def test_a_place_is_learned_told_and_decided_by(enrolled, people, others):
    (mine, theirs), before = (people[name][-1] for name in ("alice", "bob")), enrolled.state()
    usual = threshold(enrolled, mine)
    result = calibrate(enrolled, others, "--yes", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["stored"]
    assert told["utterances"] == len(others)
    assert 4 <= told["voices"] <= len(others)
    for rates in (told["false_accepts"], told["false_rejects"]):
        for rate in rates.values():
            assert 0 <= rate["interval"][0] <= rate["rate"] <= rate["interval"][1] <= 1
    assert told["false_accepts"]["place"]["trials"] == len(others)
    assert told["false_rejects"]["place"]["trials"] == 4
    assert len(enrolled.state()) == len(before) + 1
    assert threshold(enrolled, mine) == pytest.approx(usual + told["shift"], abs=2e-4)
    assert enrolled.run("verify", "alice", "--input", mine).exit_code == 0
    assert enrolled.run("verify", "alice", "--input", theirs).exit_code == 3
    # it holds for the microphone that it was learned with
    (enrolled.home / "config.toml").write_text('device = "another"\n')
    assert threshold(enrolled, mine) == usual


def test_what_was_learned_is_forgotten(enrolled, people, others):
    usual = threshold(enrolled, people["alice"][-1])
    assert calibrate(enrolled, others, "--yes").exit_code == 0
    result = enrolled.run("calibrate", "--forget", "--yes")
    assert (result.exit_code, result.stdout) == (0, "forgotten\n")
    assert threshold(enrolled, people["alice"][-1]) == usual
    assert enrolled.run("calibrate", "--forget", "--yes").stdout == "nothing had been learned\n"


def test_it_is_told_in_words_and_may_be_declined(enrolled, others):
    before = enrolled.state()
    result = calibrate(enrolled, others, stdin="n\n")
    assert result.exit_code == 0
    assert "strangers let in: " in result.stdout
    assert "owners rejected: " in result.stdout
    assert "hint: " in result.stderr  # eight voices are few
    assert result.stdout.endswith("nothing was stored\n")
    assert enrolled.state() == before


def test_an_owner_who_speaks_is_left_out(enrolled, people, others):
    result = calibrate(enrolled, [*others, *people["alice"][:2]], "--yes", "--json")
    assert json.loads(result.stdout)["owners_heard"] == ["alice"]


def test_too_few_voices_store_nothing(enrolled, people):
    before = enrolled.state()
    result = calibrate(enrolled, people["bob"][:1], "--yes")
    assert_error(result, 4, "heard: 1")
    assert enrolled.state() == before
