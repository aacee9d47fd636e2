"""Hears recordings on many processors, each once, and keeps what was heard."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock.errors import AudioError, EdgeUnlockError
from edge_unlock_convert.errors import ConversionError, SpeechError
from edge_unlock_convert.evaluation.cache import Cache
from edge_unlock_convert.evaluation.listening import System, hear, key
from edge_unlock_convert.progress import Progress

BATCH = 8
"""Recordings that are sent at once: few enough that little is lost when a process dies."""
AHEAD = 3
"""Batches that wait for each worker: their files are in memory."""


class Workers(NamedTuple):
    """Where recordings are heard: ``send`` brings a system there, once."""

    executor: Executor
    number: int
    send: Callable[[System], Any]


class _Batch(NamedTuple):
    names: list[str]
    recordings: list[tuple[str, bytes, float]]


@contextmanager
def local_workers(count: int | None) -> Iterator[Workers]:
    """Processes of this machine, as many as it has cores unless ``count`` says."""
    number = count or len(os.sched_getaffinity(0))
    # spawn: what a forked process inherits of threads and open files is not safe to use
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(number, context, _mind_the_parent)
    try:
        yield Workers(executor, number, lambda system: system)
    finally:
        executor.shutdown(cancel_futures=True)


def _mind_the_parent() -> None:
    """Make a worker leave Ctrl-C to its parent, and end when that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def extract(
    system: System,
    recordings: Sequence[tuple[Path, float]],
    cache: Cache,
    workers: Workers,
    progress: Progress = lambda _: None,
) -> Float32:
    """The rows (n, ...) that ``hear`` makes of n recordings, each a path and the seconds of a cut.

    What the cache holds is not heard again, and what was heard is kept at once. The result does
    not depend on who heard what, nor when. Raises ``SpeechError`` for what is not audio.
    """
    names: list[str] = []
    known: dict[str, Float32] = {}
    running: dict[Future[list[Float32]], _Batch] = {}
    sent = workers.send(system)

    def finish(batches: set[Future[list[Float32]]]) -> None:
        for future in batches:
            batch = running.pop(future)
            rows = dict(zip(batch.names, _result(future), strict=True))
            cache.put(rows.items())
            known.update(rows)
            progress(len(rows))

    try:
        for batch in _batches(system, recordings, cache, names, known, progress):
            running[workers.executor.submit(hear, sent, batch.recordings)] = batch
            if len(running) >= AHEAD * workers.number:
                finish(wait(running, return_when=FIRST_COMPLETED).done)
        while running:
            finish(wait(running, return_when=FIRST_COMPLETED).done)
    finally:
        for future in running:
            future.cancel()
    return np.stack([known[name] for name in names])


def _batches(
    system: System,
    recordings: Sequence[tuple[Path, float]],
    cache: Cache,
    names: list[str],
    known: dict[str, Float32],
    progress: Progress,
) -> Iterator[_Batch]:
    """What is yet to be heard; notes all names, and what the cache holds."""
    asked: set[str] = set()
    batch = _Batch([], [])
    for path, cut_s in recordings:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SpeechError(
                f"cannot read {path}: {error.strerror}", "Check the path and its permissions."
            ) from error
        name = key(system, content, cut_s)
        names.append(name)
        if name in asked:
            progress(1)
            continue
        asked.add(name)
        found = cache.get([name])
        if found:
            known.update(found)
            progress(1)
            continue
        batch.names.append(name)
        batch.recordings.append((str(path), content, cut_s))
        if len(batch.names) == BATCH:
            yield batch
            batch = _Batch([], [])
    if batch.names:
        yield batch


def _result(future: "Future[list[Float32]]") -> list[Float32]:
    try:
        return future.result()
    except AudioError as error:
        raise SpeechError(str(error), error.hint) from error
    except EdgeUnlockError:
        raise
    except BrokenProcessPool as error:
        raise ConversionError(
            "a process that heard recordings was killed, perhaps for want of memory",
            "Start again: what was done is kept. --workers says how many there are.",
        ) from error
    except (Exception, CancelledError) as error:
        raise ConversionError(
            f"recordings could not be heard: {type(error).__name__}: {error}",
            "Start again: what was done is kept. On a cluster look at the workers' logs.",
        ) from error
