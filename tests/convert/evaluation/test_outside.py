"""``evaluate`` for any package and any speech."""

import json
import shutil

import pytest
from click.testing import CliRunner

from edge_unlock_convert.cli import main


def evaluate(*arguments):
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def test_a_package_is_measured_on_speech_in_folders(package, speech, tmp_path):
    output = tmp_path / "figures.json"
    result = evaluate(package, "--speech", speech, "--json", output, "--draws", 20)
    assert result.exit_code == 0, result.output
    cohort, cosine = json.loads(output.read_text())["error_rates"]
    assert cohort["scoring"] == "set against cohort" and cosine["scoring"] == "cosine"
    for row in (cohort, cosine):
        low, high = row["eer_interval"]
        assert 0 <= low <= row["eer"] <= high <= 1
        assert row["speakers"] == len(list(speech.iterdir()))
        assert row["targets"] and row["nontargets"]
    assert "| cosine |" in result.output


def test_speech_without_trials_is_refused(package, speech, tmp_path):
    alone = tmp_path / "alone"
    shutil.copytree(next(speech.iterdir()), alone / "anna")
    result = evaluate(package, "--speech", alone)
    assert result.exit_code == 1 and "makes no trials" in result.stderr
    unnamed = tmp_path / "unnamed"
    shutil.copytree(next(speech.iterdir()), unnamed)
    result = evaluate(package, "--speech", unnamed)
    assert result.exit_code == 1 and "speaker's name" in result.stderr


@pytest.mark.parametrize("options", [["--card"], ["--cache", "cache"]])
def test_what_belongs_to_a_training_of_ours_is_refused(package, speech, options):
    result = evaluate(package, "--speech", speech, *options)
    assert result.exit_code == 2 and "--checkpoint" in result.stderr
