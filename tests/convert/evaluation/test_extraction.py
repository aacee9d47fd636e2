"""Recordings are heard once each, by several processes, and a run that was killed goes on."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_unlock_convert.errors import ConversionError, SpeechError
from edge_unlock_convert.evaluation.cache import FILE_NAME, Cache
from edge_unlock_convert.evaluation.extraction import extract, local_workers
from edge_unlock_convert.evaluation.listening import MEASURES, System, Voices
from tests.processes import is_gone
from tests.waiting import until

COUNT = 40
EAR = """
import os, pathlib, signal, time
import numpy as np

def embed(samples, rate):
    log = pathlib.Path(os.environ["EAR_LOG"])
    with log.open("a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(float(os.environ.get("EAR_DELAY_S", "0")))
    return np.abs(np.fft.rfft(samples)[:6]).astype(np.float32)

def die(samples, rate):
    os.kill(os.getpid(), signal.SIGKILL)
"""
RUN = """
import sys
from pathlib import Path
from edge_unlock_convert.evaluation.cache import Cache
from edge_unlock_convert.evaluation.extraction import extract, local_workers
from edge_unlock_convert.evaluation.listening import System

if __name__ == "__main__":
    paths = [(path, 0.0) for path in sorted(Path(sys.argv[1]).glob("*.wav"))]
    with Cache(Path(sys.argv[2])) as cache, local_workers(2) as workers:
        extract(System("ear", None, "ear:embed"), paths, cache, workers)
"""
SYSTEM = System("ear", None, "ear:embed")


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with recordings, and an encoder that writes down who called it."""
    (tmp_path / "ear.py").write_text(EAR)
    (tmp_path / "run.py").write_text(RUN)
    generator = np.random.default_rng(0)
    for number in range(COUNT):
        soundfile.write(tmp_path / f"{number:02}.wav", generator.normal(0, 0.1, 1600), 16_000)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("EAR_LOG", str(tmp_path / "log"))
    (tmp_path / "log").touch()
    yield tmp_path
    sys.modules.pop("ear", None)


def calls(folder: Path) -> list[str]:
    return (folder / "log").read_text().split()


def extracted(folder: Path, cache: Path, system: System = SYSTEM) -> np.ndarray:
    recordings = [(path, 0.0) for path in sorted(folder.glob("*.wav"))]
    with Cache(cache) as rows, local_workers(2) as workers:
        return extract(system, recordings, rows, workers)


def test_what_was_heard_is_not_heard_again(heard: Path) -> None:
    first = extracted(heard, heard / "cache")
    assert first.shape == (COUNT, MEASURES + 6) and len(calls(heard)) == COUNT
    assert np.isnan(Voices.of(first).seconds).all()  # without a package nobody measures it
    again = extracted(heard, heard / "cache")
    assert len(calls(heard)) == COUNT
    assert again.tobytes() == first.tobytes()


def test_the_same_content_is_heard_once(heard: Path) -> None:
    content = (heard / "00.wav").read_bytes()
    for number in range(1, COUNT):
        (heard / f"{number:02}.wav").write_bytes(content)
    rows = extracted(heard, heard / "cache")
    assert len(calls(heard)) == 1 and len(np.unique(rows[:, MEASURES:], axis=0)) == 1


def test_other_content_and_other_encoders_are_heard_anew(heard: Path) -> None:
    extracted(heard, heard / "cache")
    soundfile.write(heard / "07.wav", np.ones(1600) / 4, 16_000)
    extracted(heard, heard / "cache")
    assert len(calls(heard)) == COUNT + 1
    (heard / "other.py").write_text(EAR)
    extracted(heard, heard / "cache", System("other", None, "other:embed"))
    assert len(calls(heard)) == 2 * COUNT + 1


def test_a_run_that_was_killed_goes_on_and_gives_the_same(heard: Path) -> None:
    environment = {**os.environ, "EAR_DELAY_S": "0.1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, heard / "run.py", heard, heard / "cache"]
    with subprocess.Popen(command, env=environment) as running:
        until(lambda: rows_in(heard / "cache") or running.poll() is not None)
        assert running.poll() is None
        running.kill()
    done = rows_in(heard / "cache")
    assert 0 < done < COUNT
    until(lambda: is_gone(*map(int, calls(heard))))  # its workers end by themselves
    before = len(calls(heard))
    resumed = extracted(heard, heard / "cache")
    assert len(calls(heard)) == before + COUNT - done
    assert resumed.tobytes() == extracted(heard, heard / "another cache").tobytes()


def rows_in(cache: Path) -> int:
    if not (cache / FILE_NAME).exists():
        return 0
    connection = sqlite3.connect(cache / FILE_NAME)
    try:
        return int(connection.execute("SELECT count(*) FROM rows").fetchone()[0])
    except sqlite3.OperationalError:  # the table is just being made
        return 0
    finally:
        connection.close()


def test_a_killed_worker_is_an_error(heard: Path) -> None:
    with pytest.raises(ConversionError, match="was killed"):
        extracted(heard, heard / "cache", System("dies", None, "ear:die"))


def test_what_is_not_audio_is_an_error(heard: Path) -> None:
    (heard / "05.wav").write_text("no audio")
    with pytest.raises(SpeechError, match=r"05\.wav"):
        extracted(heard, heard / "cache")


def test_the_cache_is_its_owners_alone(tmp_path: Path) -> None:
    with Cache(tmp_path / "cache") as cache:
        cache.put([("a", np.arange(3, dtype=np.float32))])
        assert cache.get(["a", "b"])["a"].tolist() == [0, 1, 2]
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
    for path in (tmp_path / "cache").iterdir():
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"no database at all" * 99, None])
def test_a_cache_that_cannot_be_used_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content) if content else path.mkdir()
    with pytest.raises(ConversionError, match="cannot use the cache"):
        Cache(tmp_path)


def test_ctrl_c_leaves_no_process(heard: Path) -> None:
    environment = {**os.environ, "EAR_DELAY_S": "0.1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, heard / "run.py", heard, heard / "cache"]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, start_new_session=True
    ) as running:
        until(lambda: rows_in(heard / "cache"))
        os.killpg(running.pid, signal.SIGINT)
        _, told = running.communicate(timeout=60)
    assert told.count(b"KeyboardInterrupt") == 1  # of the script itself, of no worker
    until(lambda: is_gone(*map(int, calls(heard))))
