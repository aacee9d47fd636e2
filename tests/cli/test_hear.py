import json
import os
import re
import shutil
from contextlib import suppress

import numpy as np
import pytest
import soundfile
import soxr
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge_unlock.encoder.calibration import Quality
from edge_unlock.encoder.package import MANIFEST_NAME, shipped_package
from edge_unlock.scoring.band import Band
from edge_unlock.scoring.scorer import Scorer
from edge_unlock.vault.attempts import TEMPLATE
from tests.cli.conftest import assert_error


def test_verify_accepts_the_enrolled_voice_and_rejects_another(enrolled, people):
    accepted = enrolled.run("verify", "alice", "--input", people["alice"][4])
    assert accepted.exit_code == 0 and accepted.stdout.startswith("accepted: alice")
    rejected = enrolled.run("verify", "alice", "--input", people["bob"][4])
    assert rejected.exit_code == 3 and rejected.stdout.startswith("rejected: alice")


def test_json_has_the_documented_fields(enrolled, people):
    arguments = ("verify", "alice", "--json", "--input", people["alice"][4])
    fields = json.loads(enrolled.run(*arguments).stdout)
    assert set(fields) == {
        *("decision", "user", "match", "seconds", "bandwidth_hz", "weakness", "reason"),
        *("failed_since", "wait_s"),
    }
    assert fields["decision"] == "accepted" and fields["user"] == "alice"
    assert fields["match"] in (Band.CLEAR, Band.CLOSE)
    assert fields["seconds"] > 1 and fields["reason"] is None
    shown = json.loads(enrolled.run(*arguments, "--show-scores").stdout)
    assert set(shown) - set(fields) == {"score", "far", "llr", "threshold", "magnitude"}
    assert fields.items() <= shown.items()
    assert shown["score"] >= shown["threshold"]


@pytest.mark.parametrize("command", [("verify", "alice"), ("identify",), ("listen",)])
def test_scores_are_told_only_where_they_are_asked_for(enrolled, people, command):
    figures = r"score|ratio|strangers|\d\.\d{2}|-\d"
    for name in ("alice", "bob"):
        arguments = (*command, "--input", people[name][4])
        for options in ((), ("--json",)):
            told = enrolled.run(*arguments, *options).output
            assert re.search(r"match|near miss", told)
            assert not re.search(figures, re.sub(r'"seconds":[\d.]+', "", told)), told
        assert re.search(figures, enrolled.run(*arguments, "--show-scores").output)


def at_rate(path, rate_hz, directory):
    """The recording as a device of that rate makes it."""
    samples, rate = soundfile.read(path, dtype="float32")
    narrow = directory / f"{rate_hz}.wav"
    soundfile.write(narrow, soxr.resample(samples, rate, rate_hz), rate_hz)
    return narrow


def test_telephone_speech_is_told_and_charges_nobody(enrolled, people, tmp_path):
    narrow = at_rate(people["alice"][4], 8000, tmp_path)
    result = enrolled.run("verify", "alice", "--input", narrow)
    assert result.exit_code == 4
    assert "telephone quality" in result.stdout
    assert "another microphone" in result.stderr
    assert "does not match" not in result.output
    for rate_hz in (8000, 11025):  # templates of neither: strangers would be too much like them
        narrow = at_rate(people["alice"][4], rate_hz, tmp_path)
        refused = enrolled.run("enroll", "carol", "--consent", "--input", narrow)
        assert refused.exit_code == 4 and "telephone quality" in refused.stderr


def test_a_rejection_names_what_was_weak(enrolled, people, tmp_path):
    narrow = at_rate(people["bob"][4], 11025, tmp_path)
    result = enrolled.run("verify", "alice", "--json", "--input", narrow)
    assert result.exit_code == 3
    assert json.loads(result.stdout)["weakness"].startswith("telephone quality")
    clear = enrolled.run("verify", "alice", "--json", "--input", people["bob"][4])
    assert json.loads(clear.stdout)["weakness"] is None


def test_several_inputs_are_one_attempt(enrolled, people):
    inputs = [part for path in people["alice"][3:] for part in ("--input", path)]
    result = enrolled.run("verify", "alice", "--json", *inputs)
    alone = enrolled.run("verify", "alice", "--json", "--input", people["alice"][4])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["seconds"] > json.loads(alone.stdout)["seconds"] + 1


def test_identify_names_who_speaks(enrolled, people):
    assert enrolled.enroll("bob", people["bob"][:4]).exit_code == 0
    for name in ("alice", "bob"):
        result = enrolled.run("identify", "--json", "--input", people[name][4])
        assert result.exit_code == 0
        assert json.loads(result.stdout)["user"] == name


def test_identify_does_not_name_a_stranger(enrolled, people):
    result = enrolled.run("identify", "--json", "--input", people["bob"][4])
    assert result.exit_code == 3
    assert json.loads(result.stdout)["user"] is None


def test_identify_ranks_candidates_and_none_of_them(enrolled, people):
    assert enrolled.enroll("bob", people["bob"][:4]).exit_code == 0
    heard = ("identify", "--top", "5", "--input", people["bob"][4])
    plain = json.loads(enrolled.run(*heard, "--json").stdout)
    assert [one["user"] for one in plain["candidates"]] == ["bob", "alice"]
    assert set(plain["candidates"][0]) == {"user", "match"} and "none_llr" not in plain
    told = json.loads(enrolled.run(*heard, "--json", "--show-scores").stdout)
    bob, alice = told["candidates"]
    assert bob["llr"] == told["llr"] > 0 > alice["llr"] and told["none_llr"] < 0
    lines = enrolled.run(*heard, "--show-scores").stdout.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["bob", "alice", "none"]
    (one, two) = enrolled.run(*heard, "--top", "1").stdout.splitlines()
    assert one.startswith("accepted: bob") and two.split()[:2] == ["1", "bob"]
    assert "candidates" not in json.loads(enrolled.run(*heard[:1], *heard[3:], "--json").stdout)


def test_identify_ranks_candidates_for_a_stranger_too(enrolled, people):
    heard = ("identify", "--top", "5", "--input", people["bob"][4])
    result = enrolled.run(*heard)
    assert result.exit_code == 3
    assert [line.split()[1] for line in result.stdout.splitlines()[1:]] == ["alice", "none"]
    told = json.loads(enrolled.run(*heard, "--json", "--show-scores").stdout)
    assert told["user"] is None and told["none_llr"] > 0 > told["candidates"][0]["llr"]
    assert enrolled.run("identify", "--top", "-1").exit_code == 2


def test_raw_samples_come_from_standard_input(enrolled, people):
    samples, _ = soundfile.read(people["alice"][4], dtype="int16")
    result = enrolled.run("verify", "alice", "--input", "-", stdin=samples.tobytes())
    assert result.exit_code == 0


@pytest.fixture
def pipe():
    """A reader and a writer; the writer stays open until the test is over."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as out, os.fdopen(writer, "wb") as into:
        yield out, into


@pytest.mark.parametrize("command", [("verify", "alice"), ("identify",), ("listen", "--once")])
def test_a_stream_is_decided_on_before_it_ends(enrolled, people, pipe, command):
    out, into = pipe
    samples, _ = soundfile.read(people["alice"][4], dtype="int16")
    arguments = (*command, "--input", "-", "--timeout", "60")
    with enrolled.start(*arguments, stdin=out) as deciding:
        with suppress(BrokenPipeError):  # it may have decided before the last sample
            into.write(samples.tobytes() + bytes(32000))
            into.flush()
        assert deciding.wait(50) == 0, deciding.stderr.read()


@pytest.mark.parametrize("command", [("verify", "alice"), ("identify",), ("listen",)])
def test_the_timeout_holds_on_a_silent_pipe(enrolled, pipe, command):
    with enrolled.start(*command, "--input", "-", "--timeout", "0.5", stdin=pipe[0]) as waiting:
        assert waiting.wait(50) == 4, waiting.stderr.read()


def test_each_utterance_of_a_stream_is_an_attempt(enrolled, people):
    stranger, _ = soundfile.read(people["bob"][4], dtype="int16")
    owner, _ = soundfile.read(people["alice"][4], dtype="int16")
    stream = np.concatenate((stranger, owner)).tobytes()
    assert enrolled.run("verify", "alice", "--input", "-", stdin=stream).exit_code == 3
    mixed = ("--input", "-", "--input", people["alice"][4])
    assert enrolled.run("verify", "alice", *mixed, stdin=stream).exit_code == 2


def test_stereo_at_48_khz_works(enrolled, people, tmp_path):
    samples, _ = soundfile.read(people["alice"][4], dtype="float32")
    tripled = np.interp(np.arange(3 * samples.size) / 3, np.arange(samples.size), samples)
    soundfile.write(tmp_path / "stereo.flac", np.column_stack((tripled, tripled)), 48000)
    assert enrolled.run("verify", "alice", "--input", tmp_path / "stereo.flac").exit_code == 0


def test_strangers_lock_the_door_and_noise_does_not(enrolled, people, tmp_path):
    room = np.random.default_rng(0).normal(0, 1e-3, 16000 * 30).astype(np.float32)
    soundfile.write(tmp_path / "room.wav", room, 16000)
    before = enrolled.state()
    assert enrolled.run("listen", "--input", tmp_path / "room.wav").exit_code == 4
    assert enrolled.state() == before
    for _ in range(TEMPLATE.capacity):
        assert enrolled.run("verify", "alice", "--input", people["bob"][4]).exit_code == 3
    locked = enrolled.run("verify", "alice", "--input", people["alice"][4])
    assert locked.exit_code == 5 and "locked out" in locked.stdout


def wav(path, samples, rate=16000, subtype="PCM_16"):
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def header(path, rate=16000, claimed=2_000_000_000, payload=b""):
    """A WAV file whose header says what it wants."""
    fields = (1).to_bytes(2, "little") + (1).to_bytes(2, "little") + rate.to_bytes(4, "little")
    fields += (2 * rate % 2**32).to_bytes(4, "little") + b"\x02\x00\x10\x00"
    data = b"WAVEfmt \x10\x00\x00\x00" + fields + b"data" + claimed.to_bytes(4, "little") + payload
    path.write_bytes(b"RIFF" + (claimed + 36).to_bytes(4, "little") + data)
    return path


def make_missing(path, voice):
    return path


def make_empty(path, voice):
    path.write_bytes(b"")
    return path


def make_truncated(path, voice):
    wav(path, voice)
    path.write_bytes(path.read_bytes()[:30])
    return path


def make_text(path, voice):
    path.write_text("not audio " * 100)
    return path


BAD_INPUTS = {
    "missing": (make_missing, 1),
    "empty": (make_empty, 1),
    "truncated": (make_truncated, 1),
    "not audio": (make_text, 1),
    "2 GB claimed": (lambda path, voice: header(path), 1),
    "0 Hz": (lambda path, voice: header(path, 0, 3200, bytes(3200)), 1),
    "4 MHz": (lambda path, voice: header(path, 4_000_000, 3200, bytes(3200)), 1),
    "NaN": (lambda path, voice: wav(path, np.full(16000, np.nan), subtype="FLOAT"), 1),
    "digital silence": (lambda path, voice: wav(path, np.zeros(48000)), 4),
    "0.2 s": (lambda path, voice: wav(path, voice[24000:27200]), 4),
    "one sample": (lambda path, voice: wav(path, voice[:1]), 4),
}


@pytest.mark.parametrize("kind", BAD_INPUTS)
def test_bad_input_is_told_in_a_line_and_charges_nobody(enrolled, people, tmp_path, kind):
    make, exit_code = BAD_INPUTS[kind]
    voice, _ = soundfile.read(people["alice"][4], dtype="float32")
    path = make(tmp_path / "bad.wav", voice)
    before = enrolled.state()
    result = enrolled.run("verify", "alice", "--input", path)
    assert result.exit_code == exit_code, result.output
    assert "hint: " in result.stderr
    if exit_code == 1:
        assert_error(result, 1)
    assert enrolled.state() == before


def test_an_unknown_user_is_rejected_like_a_stranger(enrolled, people):
    arguments = ("--json", "--show-scores", "--input", people["bob"][4])
    results = [enrolled.run("verify", name, *arguments) for name in ("carol", "alice")]
    assert [result.exit_code for result in results] == [3, 3]
    unknown, known = (json.loads(result.stdout) for result in results)
    assert unknown.pop("user") == "carol" and known.pop("user") == "alice"
    # the threshold tells how many utterances were enrolled
    for changing in ("score", "far", "llr", "threshold"):
        assert isinstance(unknown.pop(changing), float) and isinstance(known.pop(changing), float)
    assert unknown == known
    assert not any(result.stderr for result in results)


def test_the_owner_is_told_of_failures_and_enables(enrolled, people):
    stranger = ("verify", "alice", "--input", people["bob"][4])
    owner = ("verify", "alice", "--input", people["alice"][4])
    assert enrolled.run(*owner).exit_code == 0
    for _ in range(3):
        enrolled.run(*stranger)
    assert re.search(
        r"\(3 failed attempts since [A-Z][a-z]+day \d\d:\d\d\)", enrolled.run(*owner).stdout
    )
    enrolled.run(*stranger)
    told = json.loads(enrolled.run(*owner, "--json").stdout)["failed_since"]
    assert told["attempts"] == 1 and told["since"].endswith("+00:00")
    while enrolled.run(*stranger).exit_code == 3:
        pass
    assert enrolled.run(*owner).exit_code == 5
    assert_error(enrolled.run("enable", "carol"), 1, "carol")
    for arguments in (("enable", "alice"), ("enable",)):
        assert enrolled.run(*arguments).exit_code == 0
        assert enrolled.run(*owner).exit_code == 0


def test_after_too_long_without_its_owner_a_voice_does_not_suffice(enrolled, people):
    (enrolled.home / "config.toml").write_text("idle_limit_hours = 1e-9\n")
    (enrolled.home / "config.toml").chmod(0o600)
    result = enrolled.run("verify", "alice", "--input", people["alice"][4])
    assert result.exit_code == 5 and "edge-unlock enable alice" in result.stdout
    (enrolled.home / "config.toml").write_text("idle_limit_hours = 1.0\n")
    assert enrolled.run("verify", "alice", "--input", people["alice"][4]).exit_code == 0


def test_a_template_of_another_model_asks_to_re_enroll(enrolled, people, tmp_path, package):
    other = shutil.copytree(shipped_package(), tmp_path / "other")
    manifest = json.loads((other / MANIFEST_NAME).read_text())
    manifest["features"]["low_hz"] += 1
    (other / MANIFEST_NAME).write_text(json.dumps(manifest))
    assert enrolled.run("--model", other, "model", "accept", "--yes").exit_code == 0
    result = enrolled.run("--model", other, "verify", "alice", "--input", people["alice"][4])
    assert_error(result, 1, "model")
    assert "enroll" in result.stderr
    assert "re-enroll" in enrolled.run("--model", other, "list").stdout


def test_a_corrupt_model_is_refused(enrolled, people, tmp_path):
    result = enrolled.run("--model", tmp_path, "verify", "alice", "--input", people["alice"][4])
    assert_error(result, 1, "manifest.json")


def test_only_signed_models_are_accepted_where_a_key_is_trusted(enrolled, people, tmp_path):
    key = Ed25519PrivateKey.generate().public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "trusted.pem").write_bytes(pem)
    (enrolled.home / "config.toml").write_text(f'trusted_key = "{tmp_path / "trusted.pem"}"\n')
    result = enrolled.run("verify", "alice", "--input", people["alice"][4])
    assert_error(result, 1, "not signed")


def test_an_unknown_operating_point_is_refused(enrolled, people):
    arguments = ("--operating-point", "x", "--input", people["alice"][4])
    assert_error(enrolled.run("verify", "alice", *arguments), 1, "operating point")


def test_stricter_operating_points_need_more(enrolled, people, package):
    thresholds = []
    for point in package.manifest.operating_points:
        arguments = (
            "--json",
            "--show-scores",
            "--operating-point",
            point.name,
            "--input",
            people["alice"][4],
        )
        result = enrolled.run("verify", "alice", *arguments)
        told = json.loads(result.stdout)
        thresholds.append(told["threshold"])
        quality = Quality(told["seconds"], told["magnitude"])
        expected = Scorer(package).threshold(point.name, quality=quality, enrolled=4)
        assert thresholds[-1] == pytest.approx(expected, abs=1e-3)  # seconds are told rounded
    rates = [point.false_accept_rate for point in package.manifest.operating_points]
    assert list(np.argsort(thresholds)) == list(np.argsort(rates)[::-1])


def test_a_name_may_be_typed_in_another_unicode_form(initialized, people):
    assert initialized.enroll("zo\u00eb", people["alice"][:4]).exit_code == 0
    result = initialized.run("verify", "zoe\u0308", "--json", "--input", people["alice"][4])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["user"] == "zo\u00eb"


@pytest.mark.parametrize("command", [("verify", "alice"), ("enroll", "bob", "--consent")])
def test_a_file_of_more_than_5_minutes_is_refused(enrolled, tmp_path, command):
    soundfile.write(tmp_path / "long.flac", np.zeros(8000 * 301), 8000)
    result = enrolled.run(*command, "--input", tmp_path / "long.flac")
    assert_error(result, 1, "longer than 5 minutes")
