"""Kills verify and listen at random points: what was compared must have been charged.

    python -m tests.vault.killing 500

A child judges voices by the real gatekeeper and vault, without sound: the voices are made. It
reports each comparison before it goes on, and is killed (SIGKILL) at a random moment. Prints how
often a voice was compared and how often it was charged; ends with 1 if ever more than charged.
"""

import itertools
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edge_unlock.encoder.calibration import Quality
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.lock.gatekeeper import Gatekeeper
from edge_unlock.lock.hearing import Heard
from edge_unlock.scoring.candidates import Floats
from edge_unlock.scoring.recognizer import Comparison, Recognizer, Voice
from edge_unlock.scoring.scorer import Scorer
from edge_unlock.segmentation.segment import Segment
from edge_unlock.vault import Consent, KeyFile, ModelIdentity, Vault
from edge_unlock.vault.attempts import TEMPLATE, Uptime, uptime

HEARD = [Heard(Segment(0.0, 3.0, np.zeros(48000, np.float32), False, -60, -20, 0, 8000), False)]
CONSENT = Consent("2025-01-31T12:00:00+00:00", "unlocking the door")
LONGEST_S = 0.15  # in which a child makes a few decisions


class Prepared(Recognizer):
    """Hears one voice, whatever is said, and reports each comparison that comes near somebody."""

    def __init__(self, voices: list[Voice]) -> None:
        package = ModelPackage.load()
        super().__init__(None, Scorer(package), identity_of(package))  # type: ignore[arg-type]
        self._voices = itertools.cycle(voices)
        self.report: Callable[[], object] = lambda: None
        self.charges_all = True

    def hear(self, segments: object, embedding: object = None) -> Voice:
        return next(self._voices)

    def compare(self, voice: Voice, strictness: Floats) -> Comparison:
        comparison = super().compare(voice, strictness)
        if comparison.near or comparison.decision.user is not None or self.charges_all:
            self.report()
        return comparison


def identity_of(package: ModelPackage) -> ModelIdentity:
    manifest = package.manifest
    return ModelIdentity(
        package.sha256, manifest.front_end_sha256(), manifest.encoder.embedding_size
    )


def voice(seed: int, like: np.ndarray | None = None, share: float = 0.0) -> Voice:
    """A made voice, of which a share is ``like`` another (D,)."""
    embedding = np.random.default_rng(seed).normal(size=192)
    embedding /= np.linalg.norm(embedding)
    if like is not None:
        embedding = share * like + (1 - share) * embedding
    embedding /= np.linalg.norm(embedding)
    return Voice(embedding.astype(np.float32), Quality(3.0, 2.0), 8000.0, None)


def near_voice(scorer: Scorer, owner: np.ndarray) -> Voice:
    """A voice that comes near the owner's without being accepted."""
    for share in np.linspace(0, 1, 500):
        one = voice(2, owner, float(share))
        score = scorer.score(scorer.template(owner[None]), one.embedding)
        far = scorer.false_accept_rate(score, quality=one.quality)
        if far is not None and scorer.rate() * 1.5 < far < scorer.rate() * 8:
            return one
    raise AssertionError("no share of the voice is near")


def found(directory: Path) -> tuple[Path, KeyFile]:
    """A vault in which the made voice 1 is enrolled as owner."""
    home, key = directory / "state", KeyFile(directory / "key")
    with Vault.create(home, key) as vault:
        identity = identity_of(ModelPackage.load())
        vault.enroll("owner", voice(1).embedding[None], identity, CONSENT)
    return home, key


def kill_at_random(points: int, seed: int = 0) -> tuple[int, int]:
    """Returns how often a voice was compared, and how often charged; asserts the order."""
    chance = random.Random(seed)
    owner = voice(1).embedding
    compared = charged = 0
    with TemporaryDirectory(prefix="edge-unlock-") as directory:
        home, key = found(Path(directory))
        near = near_voice(Scorer(ModelPackage.load()), owner)
        recognizer = Prepared([near, voice(3), voice(4)])
        for point in range(points):
            claimed = "owner" if point % 2 else None
            compared += _run_and_kill(home, key, recognizer, claimed, chance.uniform(0, LONGEST_S))
            with Vault.open(home, key) as vault:
                with vault.turn() as turn:
                    runs = [bucket.run for bucket in turn.attempts.buckets.values()]
                vault.audit.verify()
                assert max(runs) < TEMPLATE.stop, "the child made so many that it was stopped"
                charged += min(runs)
                vault.enable()
            assert compared <= charged, f"compared {compared}, charged {charged}"
    return compared, charged


def _run_and_kill(
    home: Path, key: KeyFile, recognizer: Prepared, claimed: str | None, after_s: float
) -> int:
    """Returns how many comparisons the child reported before it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _judge_until_killed(home, key, recognizer, claimed, writer)
        finally:
            os._exit(1)
    os.close(writer)
    assert os.read(reader, 1) == b"r"
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the child failed"
    with os.fdopen(reader, "rb") as reports:
        return len(reports.read())


def _judge_until_killed(
    home: Path, key: KeyFile, recognizer: Prepared, claimed: str | None, writer: int
) -> None:
    start = uptime()
    hours = itertools.count(1)
    recognizer.report = lambda: os.write(writer, b".")
    recognizer.charges_all = claimed is not None
    gatekeeper = Gatekeeper(
        Vault.open(home, key),
        recognizer,
        claimed,
        continuous=claimed is None,
        now=lambda: Uptime(start.boot_id, start.seconds + 3600.0 * next(hours)),  # never waits
    )
    os.write(writer, b"r")
    # however late the kill comes: one more, and all attempts would be stopped
    for _ in range(TEMPLATE.stop - 1):
        gatekeeper.judge(HEARD)
    signal.pause()


if __name__ == "__main__":
    compared, charged = kill_at_random(int(sys.argv[1]))
    print(f"killed {sys.argv[1]} times: {compared} compared, {charged} charged")
