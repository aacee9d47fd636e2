"""The comparison with other encoders, in small: synthetic voices and a toy encoder."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
FIGURES = Path(__file__).parents[3] / "convert" / "figures"
TOY = """
from pathlib import Path
import numpy as np
from peers import Peer

print("a library that is glad to be here")

def embed(samples, rate_hz):
    spectrum = np.log(np.abs(np.fft.rfft(samples, 512)) + 1e-3)
    return spectrum.astype(np.float32)

def embed_large(samples, rate_hz):
    return embed(samples, rate_hz) + np.ones(25_000_000).min()

toy = Peer(embed, "numpy", lambda: Path(__file__))
large = Peer(embed_large, "numpy", lambda: Path(__file__))
"""
README = "before\n\n<!-- side by side: begin -->\nold\n<!-- side by side: end -->\n\nafter\n"


@pytest.fixture
def run(speech, package, tmp_path):
    """The command, on a manifest of the voices as both splits."""
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "README.md").write_text(README)
    takes = sorted(speech.glob("*/*.wav"))
    rows = [
        f"{path}\t{split}\ttones\t{path.parent.name}{split[0]}\n"
        for split in ("eval", "sessions", "train")
        for path in takes
    ]
    (tmp_path / "manifest.tsv").write_text("path\tsplit\tcorpus\tspeaker\n" + "".join(rows))
    days = [f"{path}\t{'first' if int(path.stem) < 3 else 'second'}\n" for path in takes]
    (tmp_path / "days.tsv").write_text("path\tday\n" + "".join(days))
    root = FIGURES.parents[1]
    searched = [root, root / "convert", FIGURES, tmp_path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, searched))}

    def started(*arguments):
        command = [
            *(sys.executable, FIGURES / "side_by_side.py", package, "--draws", "5"),
            *("--speech", tmp_path / "manifest.tsv", "--sessions", tmp_path / "days.tsv"),
            *("--rounds", "1", "--cache", tmp_path / "cache", "--readme", tmp_path / "README.md"),
        ]
        return subprocess.run(
            [*map(str, [*command, *arguments])],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
        )

    return started


def rows(document, start):
    """The cells of the table whose first column is headed so."""
    lines = document.splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith(f"| {start} |"))
    end = lines.index("", first)
    return [[one.strip() for one in line.strip("|").split("|")] for line in lines[first:end]]


def test_the_tables_and_the_picture_are_made_anew(run, tmp_path):
    arguments = ("--system", "Toy=toy:toy", "--picture", tmp_path / "det.png")
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
    document = (tmp_path / "README.md").read_text()
    assert document.startswith("before\n") and document.endswith("\n\nafter\n")
    between = document.split("begin -->\n")[1].split("<!-- side by side: end")[0]
    assert "\nold\n" not in document and result.stdout.endswith(between)
    head, _, ours, toy = rows(document, "encoder")
    assert ours[0] == "tiny" and toy[:2] == ["Toy", f"numpy {np.__version__}"]
    assert len(head) == len(ours) == len(toy) and ours[head.index("x tiny")] == "1.0"
    errors = rows(document, "encoder, score")
    assert errors[0][1:] == [
        f"{part}: {figure}"
        for part in ("tones", "tones, another session")
        for figure in ("EER %", "FRR % at FAR 1e-2")
    ]
    assert [line[0] for line in errors[2:]] == [
        *("tiny, cosine", "tiny, mean removed", "tiny, as the device decides"),
        *("Toy, cosine", "Toy, mean removed"),
    ]
    trials = "4 speakers, 40 target and 120 non-target trials"
    assert f"tones: {trials}; tones, another session: {trials}" in document
    picture = (tmp_path / "det.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) < 60_000
    assert run(*arguments).returncode == 0
    assert rows((tmp_path / "README.md").read_text(), "encoder, score") == errors


@pytest.mark.parametrize(
    ("system", "status", "said"),
    [
        ("Lost=nowhere:lost", 1, "error: Lost does not run"),
        ("Lost", 2, "Lost is not NAME=module:function"),
    ],
)
def test_an_encoder_that_does_not_run_is_told_before_any_work(run, tmp_path, system, status, said):
    result = run("--system", system)
    assert result.returncode == status and said in result.stderr
    assert "Traceback" not in result.stderr
    assert (tmp_path / "README.md").read_text() == README


def test_a_document_without_markers_is_told_before_any_work(run, tmp_path):
    (tmp_path / "README.md").write_text("nothing here\n")
    result = run("--system", "Toy=toy:toy")
    assert result.returncode == 1 and "no place for the tables" in result.stderr
    assert not (tmp_path / "cache").exists()


def test_memory_is_that_of_the_encoder_alone(speech, tmp_path, monkeypatch):
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(FIGURES))
    from cost import measure

    searched = [FIGURES.parents[1], FIGURES.parent, FIGURES, tmp_path]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, searched)))
    ballast = np.ones(75_000_000)  # 600 MB of the process that measures
    recordings = sorted(speech.glob("*/0.wav"))
    small = measure("small", "toy:toy", tmp_path / "small.npy", recordings)
    large = measure("large", "toy:large", tmp_path / "large.npy", recordings)
    assert small.peak_mb < ballast.nbytes / 1e6
    assert 150 < large.peak_mb - small.peak_mb < 300
    again = measure("small", "toy:toy", tmp_path / "small.npy", recordings[1:])
    assert again.score < small.score  # another voice than that of the template
