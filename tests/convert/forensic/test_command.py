"""``compare-recordings`` and ``verify-report``, with voices that were made here."""

import json
import re
import shutil
import sys

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from edge_unlock_convert.cli import main

pytest.importorskip("fpdf")

SPEAKERS, TAKES, RATE_HZ = 14, 5, 16_000
FILES = {"report.html", "report.pdf", "figures.json", "inputs.sha256", "SHA256SUMS"}


def voice(speaker, take):
    """Two seconds of syllables: pitch and formants are the speaker's, the rest is not."""
    own, other = np.random.default_rng(speaker), np.random.default_rng(1000 * speaker + take)
    pitch_hz, formants_hz = own.uniform(90, 250), own.uniform((300, 900, 2200), (800, 2000, 3400))
    times = np.arange(2 * RATE_HZ) / RATE_HZ
    bend = 1 + 0.05 * np.sin(2 * np.pi * other.uniform(1, 3) * times)
    phase = 2 * np.pi * np.cumsum(pitch_hz * other.uniform(0.97, 1.03) * bend) / RATE_HZ
    samples = np.zeros_like(times)
    for number in range(1, 25):
        gain = np.exp(-(((number * pitch_hz - formants_hz) / 250) ** 2)).sum() + 0.03
        samples += gain * np.sin(number * phase)
    syllables = np.sin(2 * np.pi * other.uniform(2, 4) * times) ** 2
    return 0.1 * syllables * samples + 0.002 * other.normal(size=len(times))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Speakers 0 and 1 are of the case; the rest is the population."""
    root = tmp_path_factory.mktemp("case")
    for speaker in range(SPEAKERS):
        folder = root / "population" / f"s{speaker:02}" if speaker > 1 else root / f"s{speaker}"
        folder.mkdir(parents=True)
        for take in range(TAKES):
            soundfile.write(folder / f"{take}.wav", voice(speaker, take), RATE_HZ)
    shutil.move(root / "s0", root / "known")
    for take in (3, 4):
        shutil.move(root / "known" / f"{take}.wav", root / f"same{take}.wav")
    shutil.move(root / "s1" / "0.wav", root / "different.wav")
    return root


@pytest.fixture
def compare(place, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)

    def run(*arguments, out="report"):
        given = ["--known", "known", "--population", "population", "--out", tmp_path / out]
        given += ["--cache", place.parent / "cache", "--draws", "20", "--workers", "1"]
        return CliRunner().invoke(main, ["compare-recordings", *map(str, [*given, *arguments])])

    return run


def figures(folder):
    return json.loads((folder / "figures.json").read_text())


def test_the_same_voice_and_another_are_told_apart(compare, tmp_path):
    result = compare("same3.wav", "same4.wav")
    assert result.exit_code == 0, result.output
    assert compare("different.wav", out="other").exit_code == 0
    one, two, every = figures(tmp_path / "report")["comparisons"]
    (other,) = figures(tmp_path / "other")["comparisons"]
    assert min(one["llr"], two["llr"], every["llr"]) > 0 > other["llr"]
    assert every["questioned"] == "all 2 together"
    for found in (one, two, other, every):
        low, high = found["bounds"]
        assert low < 0 < high and low <= found["llr"] <= high
        assert found["validation"]["figures"]["cllr"]["value"] < 1
    assert {path.name for path in (tmp_path / "report").iterdir()} == FILES
    page = (tmp_path / "report" / "report.html").read_text()
    for said in ("s checklist", "not signed", "Empirical cross-entropy", "same3.wav"):
        assert said in page
    assert "<script" not in page and not re.search('(src|href)="[^#]', page)
    assert "support" in result.output


def test_two_runs_write_the_same_bytes_and_a_date_only_when_told(compare, tmp_path, monkeypatch):
    for out in ("one", "two"):
        assert compare("same3.wav", out=out).exit_code == 0
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert compare("same3.wav", out="dated").exit_code == 0
    for name in FILES:
        one, two, dated = ((tmp_path / out / name).read_bytes() for out in ("one", "two", "dated"))
        assert one == two
        assert (one != dated) == (name in ("report.html", "report.pdf", "SHA256SUMS"))
        assert str(tmp_path).encode() not in one
    assert b"2023-11-14T22:13:20" in (tmp_path / "dated" / "report.html").read_bytes()
    assert b"D:20231114221320" in (tmp_path / "dated" / "report.pdf").read_bytes()
    assert b"D:1970" in (tmp_path / "one" / "report.pdf").read_bytes()


def test_a_signature_is_checked_and_an_altered_report_found(compare, tmp_path):
    from edge_unlock_convert.packaging.signing import make_key

    public = make_key(tmp_path / "my.key")
    result = compare("same3.wav", "--key", tmp_path / "my.key")
    assert result.exit_code == 0, result.output

    def verify(key=public):
        arguments = ["verify-report", str(tmp_path / "report"), "--key", str(key)]
        return CliRunner().invoke(main, arguments)

    assert "good signature" in verify().stderr
    assert "not by the given key" in verify(make_key(tmp_path / "other.key")).stderr
    (tmp_path / "report" / "figures.json").write_text("{}")
    result = verify()
    assert result.exit_code == 1 and "figures.json is not as it was signed" in result.stderr
    assert compare("same3.wav").exit_code == 0  # unsigned, over the signed one
    assert {path.name for path in (tmp_path / "report").iterdir()} == FILES
    assert "holds no signed report" in verify().stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("absent.wav",), 1, "no file absent.wav"),
        (("known/0.wav",), 1, "are the same recording"),
        (("same3.wav", "--package", "population"), 1, "manifest.json"),
        (("same3.wav", "--key", "absent.key"), 1, "cannot read the key"),
        (("same3.wav", "--cut", "0.1"), 2, "--cut"),
        ((), 2, "QUESTIONED"),
    ],
)
def test_bad_input_is_one_line_before_any_work(compare, tmp_path, arguments, code, said):
    result = compare(*arguments)
    assert result.exit_code == code and said in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "report").exists()


def test_a_case_that_the_population_cannot_match_is_refused(compare, place, tmp_path):
    long = np.concatenate([voice(0, take) for take in range(10, 14)])
    soundfile.write(place / "long.wav", long, RATE_HZ)
    result = compare("long.wav")
    assert result.exit_code == 1 and "0 speakers of the population" in result.stderr
    assert "hint: Give a larger population, or --cut 2.0" in result.stderr
    assert not any(tmp_path.glob("report/*"))
    assert compare("long.wav", "--cut", "2").exit_code == 0


def test_without_its_library_nothing_is_begun(compare, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fpdf", None)
    result = compare("same3.wav")
    assert result.exit_code == 1 and "pip install 'edge-unlock[forensic]'" in result.stderr
    assert not (tmp_path / "report").exists()


def test_a_date_that_is_none_is_refused(compare, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "today")
    result = compare("same3.wav")
    assert result.exit_code == 1 and "SOURCE_DATE_EPOCH is no number" in result.stderr


def test_too_few_recordings_for_all_together_are_told_of(compare, tmp_path):
    result = compare("same3.wav", "same4.wav", "different.wav")
    assert result.exit_code == 0, result.output
    assert len(figures(tmp_path / "report")["comparisons"]) == 3
    assert "were not compared together" in (tmp_path / "report" / "report.html").read_text()


def test_a_recording_unlike_the_population_is_warned_of(compare, place, tmp_path):
    soundfile.write(place / "telephone.flac", voice(0, 20)[::2], RATE_HZ // 2)
    result = compare("telephone.flac")
    assert result.exit_code == 0, result.output
    warnings = figures(tmp_path / "report")["warnings"]
    assert any("telephone.flac: its bandwidth" in one for one in warnings), warnings
    assert any("no recording of the population is coded as it is" in one for one in warnings)
    assert "warning: telephone.flac" in result.output
