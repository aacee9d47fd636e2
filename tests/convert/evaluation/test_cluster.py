"""A real scheduler with two workers, of which one is killed in the middle."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pytest
import soundfile

pytest.importorskip("distributed", reason="needs the extra 'dask'")
from click.testing import CliRunner
from distributed import Client

from edge_unlock_convert.cli import main
from edge_unlock_convert.errors import ConversionError
from edge_unlock_convert.evaluation.cache import Cache
from edge_unlock_convert.evaluation.cluster import cluster_workers
from edge_unlock_convert.evaluation.extraction import extract, local_workers
from edge_unlock_convert.evaluation.listening import System
from tests.waiting import LONGEST_S, until

COUNT = 48
EAR = """
import os, pathlib, time
import numpy as np

def embed(samples, rate):
    with pathlib.Path(os.environ["EAR_LOG"]).open("a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(0.1)
    return np.abs(np.fft.rfft(samples)[:6]).astype(np.float32)
"""


@pytest.fixture
def speech_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "ear.py").write_text(EAR)
    generator = np.random.default_rng(0)
    for number in range(COUNT):
        soundfile.write(tmp_path / f"{number:02}.wav", generator.normal(0, 0.1, 1600), 16_000)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("EAR_LOG", str(tmp_path / "log"))
    yield tmp_path
    sys.modules.pop("ear", None)


class Cluster:
    """A scheduler and its workers as processes of their own."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "scheduler.json"
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._all: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        until(lambda: self._file.exists() and self._file.read_text())
        self.address = json.loads(self._file.read_text())["address"]
        return self

    def worker(self, threads: int = 1) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until the scheduler has it."""
        options = ["--no-nanny", "--no-dashboard", "--nthreads", str(threads)]
        one = self._start("worker", *options, "--host", "127.0.0.1")
        with Client(self.address, timeout=LONGEST_S, set_as_default=False) as client:
            client.wait_for_workers(len(self._all) - 1, timeout=LONGEST_S)
        return one

    def _start(self, kind: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options]
        log = (self._file.parent / f"{kind}{len(self._all)}.log").open("wb")
        one = subprocess.Popen(
            [*command, "--scheduler-file", str(self._file)],
            env=self._environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        log.close()
        self._all.append(one)
        return one

    def __exit__(self, *_: object) -> None:
        for one in self._all:
            one.kill()
            one.wait()


@pytest.fixture
def cluster(speech_folder: Path) -> Iterator[Cluster]:
    with Cluster(speech_folder) as started:
        yield started


def test_a_lost_worker_changes_nothing(speech_folder: Path, cluster: Cluster) -> None:
    doomed, other = cluster.worker(), cluster.worker()
    recordings = [(path, 0.0) for path in sorted(speech_folder.glob("*.wav"))]
    system = System("ear", None, "ear:embed")
    log = speech_folder / "log"

    def lose_one(done: int) -> None:
        if doomed.poll() is None:
            until(lambda: str(doomed.pid) in log.read_text().split())
            doomed.kill()  # while it hears
            doomed.wait()

    with Cache(speech_folder / "cache") as cache, cluster_workers(cluster.address) as workers:
        found = extract(system, recordings, cache, workers, lose_one)
    called = log.read_text().split()
    assert len(called) > COUNT  # what was lost was heard again
    assert set(called) == {str(doomed.pid), str(other.pid)}
    with Cache(speech_folder / "other cache") as cache, local_workers(1) as workers:
        expected = extract(system, recordings, cache, workers)
    assert found.tobytes() == expected.tobytes()


def test_the_command_gives_the_same_on_a_cluster(
    cluster: Cluster, package: Path, speech: Path, tmp_path: Path
) -> None:
    cluster.worker(threads=3)  # threads share nothing that remembers
    command = ["evaluate", package, "--speech", speech, "--draws", "10"]
    there, here = (
        CliRunner().invoke(main, [str(one) for one in [*command, *more]])
        for more in (
            ["--scheduler", cluster.address, "--cache", tmp_path / "there"],
            ["--workers", "1", "--cache", tmp_path / "here"],
        )
    )
    assert there.exit_code == 0, there.output
    assert there.stdout == here.stdout


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x"])
def test_where_nobody_answers_it_is_one_line(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_unlock_convert.evaluation.cluster.CONNECT_S", 1)
    with (
        pytest.raises(ConversionError, match="no Dask scheduler answers"),
        cluster_workers(address),
    ):
        pass


def test_a_cluster_without_workers_is_an_error(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_unlock_convert.evaluation.cluster.WORKERS_S", 1)
    with pytest.raises(ConversionError, match="cannot be used"), cluster_workers(cluster.address):
        pass
