"""``evaluate`` for any package and any speech."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge_unlock_convert.cli import main


@pytest.fixture
def evaluate(tmp_path):
    def run(*arguments):
        cached = ["--cache", tmp_path / "cache", "--draws", "20", "--workers", "1"]
        return CliRunner().invoke(main, ["evaluate", *map(str, [*arguments, *cached])])

    return run


def test_a_package_is_measured_on_speech_in_folders(evaluate, package, speech, tmp_path):
    output = tmp_path / "figures.json"
    result = evaluate(package, "--speech", speech, "--json", output)
    assert result.exit_code == 0, result.output
    found = json.loads(output.read_text())
    speakers = len(list(speech.iterdir()))
    assert [row["scoring"] for row in found["rows"]][-1] == "cosine"
    for row in found["rows"]:
        assert row["figures"]["speakers"] == speakers
        eer = row["figures"]["figures"]["eer"]
        assert 0 <= eer["low"] <= eer["value"] <= eer["high"] <= 1
    assert "| EER % |" in result.output
    again = evaluate(package, "--speech", speech, "--json", output)  # of what is cached
    assert again.output == result.output and json.loads(output.read_text()) == found


def test_a_report_is_written(evaluate, package, speech, tmp_path):
    result = evaluate(package, "--speech", speech, "--out", tmp_path / "report")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "report" / "report.html").read_text()
    assert str(speech) in page and "tiny" in page
    (tmp_path / "file").touch()
    result = evaluate(package, "--speech", speech, "--out", tmp_path / "file" / "report")
    assert result.exit_code == 1 and "cannot write" in result.stderr


def test_a_list_of_trials_is_measured(evaluate, package, speech, tmp_path):
    names = [f"voice{voice}/{take}.wav" for voice in range(4) for take in range(5)]
    trials = tmp_path / "trials.txt"
    trials.write_text(
        "".join(
            f"{int(one[:6] == other[:6])} {one} {other}\n"
            for one in names
            for other in names
            if one < other
        )
    )
    result = evaluate(package, "--trials", trials, "--speech", speech, "--cut", "0.5")
    assert result.exit_code == 0, result.output
    assert "| targets | 40 |" in result.output
    assert "| test cut to | 0.5 s |" in result.output


def test_sessions_are_told_apart(evaluate, package, speech, tmp_path):
    rows = ["path\tsession"]
    for voice in range(4):
        for take in range(5):
            rows.append(f"voice{voice}/{take}.wav\t{'one' if take < 3 else 'two'}")
    table = tmp_path / "sessions.tsv"
    table.write_text("\n".join(rows) + "\n")
    result = evaluate(package, "--speech", speech, "--sessions", table, "--enroll", "2")
    assert result.exit_code == 0, result.output
    assert "| session | another day or device |" in result.output
    table.write_text("path\tsession\nelsewhere.wav\tone\n")
    result = evaluate(package, "--speech", speech, "--sessions", table)
    assert result.exit_code == 1 and "names none of these" in result.stderr
    table.write_text("file\tsession\n")
    result = evaluate(package, "--speech", speech, "--sessions", table)
    assert result.exit_code == 1 and "lacks the column" in result.stderr


def test_sessions_may_be_folders(evaluate, package, speech, tmp_path):
    for voice in range(4):
        for take in range(5):
            folder = tmp_path / "people" / f"voice{voice}" / ("one" if take < 3 else "two")
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(speech / f"voice{voice}" / f"{take}.wav", folder)
    options = ["--speech", tmp_path / "people", "--sessions", "folders", "--enroll", "2"]
    result = evaluate(package, *options)
    assert result.exit_code == 0, result.output
    assert "| session | another day or device |" in result.output


def test_speech_without_trials_is_refused(evaluate, package, speech, tmp_path):
    alone = tmp_path / "alone"
    shutil.copytree(next(speech.iterdir()), alone / "anna")
    result = evaluate(package, "--speech", alone)
    assert result.exit_code == 1 and "makes no trials" in result.stderr
    unnamed = tmp_path / "unnamed"
    shutil.copytree(next(speech.iterdir()), unnamed)
    result = evaluate(package, "--speech", unnamed)
    assert result.exit_code == 1 and "names no speech" in result.stderr


def test_a_bad_list_is_refused_before_any_work(evaluate, package, speech, tmp_path):
    trials = tmp_path / "trials.txt"
    trials.write_text("1 voice0/0.wav voice0/1.wav\n0 voice0/0.wav nowhere.wav\n")
    result = evaluate(package, "--trials", trials, "--speech", speech)
    assert result.exit_code == 1
    assert f"{trials}:2: there is no file {speech}/nowhere.wav" in result.stderr.splitlines()
    assert not (tmp_path / "cache").exists()


def test_damaged_audio_is_one_line(evaluate, package, speech, tmp_path):
    copied = tmp_path / "copied"
    shutil.copytree(speech, copied)
    path: Path = copied / "voice1" / "2.wav"
    path.write_bytes(b"RIFF" + bytes(100))
    result = evaluate(package, "--speech", copied)
    assert result.exit_code == 1 and f"{path} is not audio" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--speech", ".", "--card"], "--checkpoint"),
        ([], "--trials"),
        (["--trials", ".", "--enroll", "2"], "--enroll"),
        (["--trials", ".", "--sessions", "folders"], "manifest's column"),
        (["--speech", ".", "--workers", "2", "--scheduler", "tcp://x"], "--scheduler"),
        (["--checkpoint", ".", "--speech", ".", "--split", "x"], "--checkpoint needs"),
    ],
)
def test_options_that_do_not_go_together_are_refused(evaluate, package, options, said):
    result = evaluate(package, *options)
    assert result.exit_code == 2 and said in result.stderr


def test_another_encoder_stands_beside(evaluate, package, speech, tmp_path, monkeypatch):
    (tmp_path / "loudness.py").write_text(
        "import numpy as np\n"
        "def embed(samples, rate):\n"
        "    return np.abs(np.fft.rfft(samples[:800])).astype(np.float32)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    result = evaluate(package, "--speech", speech, "--system", "loud=loudness:embed")
    assert result.exit_code == 0, result.output
    assert "loud, cosine" in result.output
    result = evaluate(package, "--speech", speech, "--system", "none=loudness:nothing")
    assert result.exit_code == 1 and "nothing" in result.stderr
