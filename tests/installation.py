"""A vault with one enrolled voice, and all that ``listen`` is made of, for long checks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from edge_unlock.audio import File, Samples
from edge_unlock.encoder.encoder import Encoder
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.lock.gatekeeper import Gatekeeper
from edge_unlock.lock.hearing import hear
from edge_unlock.scoring.recognizer import Recognizer
from edge_unlock.scoring.scorer import Scorer
from edge_unlock.segmentation.segment import Segmenter
from edge_unlock.service.reporter import Reporter
from edge_unlock.vault import Consent, KeyFile, ModelIdentity, Vault
from edge_unlock.vault.attempts import Uptime, uptime
from tests import speech

OWNER, STRANGER = "alice", "bob"
ENROLLED = 4
CONSENT = Consent("2026-01-31T12:00:00+00:00", "unlocking the door")


class Household:
    """A vault in ``directory``, once ``enroll`` was called; ``voices`` are recordings by name."""

    def __init__(self, directory: Path) -> None:
        self.home, self.key = directory / "state", KeyFile(directory / "key")
        self.encoder = Encoder(ModelPackage.load())
        manifest = self.encoder.package.manifest
        self.identity = ModelIdentity(
            self.encoder.package.sha256, manifest.front_end_sha256(), self.encoder.embedding_size
        )
        self._paths = speech.write_speakers(directory, (OWNER, STRANGER), ENROLLED + 1)
        self.voices = {name: _read(said[-1]) for name, said in self._paths.items()}

    def enroll(self) -> None:
        """Make the vault. A process that has heard with a segmenter cannot hear after a fork."""
        rows = []
        for path in self._paths[OWNER][:-1]:
            with File(path) as source:
                heard = list(hear(source, Segmenter()))
            rows.append(self.encoder.embed_pieces(one.segment.samples for one in heard))
        with Vault.create(self.home, self.key) as vault:
            vault.enroll(OWNER, np.stack(rows), self.identity, CONSENT)

    def open(self) -> Vault:
        """The vault."""
        return Vault.open(self.home, self.key)

    def gatekeeper(self, vault: Vault, now: Callable[[], Uptime] = uptime) -> Gatekeeper:
        """Who decides which of the enrolled speaks."""
        recognizer = Recognizer(self.encoder, Scorer(self.encoder.package), self.identity)
        return Gatekeeper(vault, recognizer, continuous=True, now=now)


def reporter() -> Reporter:
    """One that tells nobody."""
    return Reporter([], version="0", model="as shipped", microphone="fake")


def _read(path: Path) -> Samples:
    samples, _ = soundfile.read(path, dtype="float32")
    return samples
