import json
import math

import numpy as np
import pytest

from edge_unlock.errors import AuthenticationError
from edge_unlock.gatekeeper import Gatekeeper
from edge_unlock.hearing import Heard
from edge_unlock.policy import FREE_FAILURES
from edge_unlock.recognizer import Recognizer
from edge_unlock.scoring import Scorer
from edge_unlock.vault import Consent, KeyFile, ModelIdentity, Vault


@pytest.fixture
def identity(package):
    manifest = package.manifest
    return ModelIdentity(
        package.sha256, manifest.front_end_sha256(), manifest.encoder.embedding_size
    )


@pytest.fixture
def vault(tmp_path, identity, encoder, heard):

    embeddings = np.stack(
        [encoder.embed_pieces(h.segment.samples for h in u) for u in heard["alice"][:4]]
    )
    consent = Consent(when="2025-01-31T12:00:00+00:00", purpose="test")
    with Vault.create(tmp_path / "vault", KeyFile(tmp_path / "key")) as vault:
        vault.enroll("alice", embeddings, identity, consent)
        yield vault


@pytest.fixture
def gatekeeper(vault, package, encoder, identity):
    recognizer = Recognizer(encoder, Scorer(package), vault.templates(identity))
    return Gatekeeper(vault, recognizer, "alice")


def events(vault, tmp_path):
    lines = (tmp_path / "vault" / "audit.log").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


def test_the_enrolled_voice_is_accepted_and_another_rejected(gatekeeper, heard, vault, tmp_path):
    accepted = gatekeeper.judge(heard["alice"][4])
    assert accepted.is_accepted and accepted.user == "alice"
    assert accepted.score >= accepted.threshold
    rejected = gatekeeper.judge(heard["bob"][4])
    assert rejected.decision == "rejected" and rejected.user == "alice"
    assert rejected.score < rejected.threshold
    assert events(vault, tmp_path) == ["accepted", "rejected"]


def test_an_identification_names_nobody_when_it_rejects(vault, package, encoder, identity, heard):
    recognizer = Recognizer(encoder, Scorer(package), vault.templates(identity))
    anyone = Gatekeeper(vault, recognizer)
    assert anyone.judge(heard["alice"][4]).user == "alice"
    rejected = anyone.judge(heard["bob"][4])
    assert rejected.decision == "rejected" and rejected.user is None


def test_an_empty_vault_accepts_nobody(vault, package, encoder, heard):
    decision = Gatekeeper(vault, Recognizer(encoder, Scorer(package), [])).judge(heard["bob"][0])
    assert decision.decision == "rejected"


def test_faults_are_no_attempts(gatekeeper, heard, vault, tmp_path):
    for _ in range(FREE_FAILURES + 1):
        assert gatekeeper.judge([]).decision == "retry"
    lost = [Heard(h.segment, audio_lost=True) for h in heard["alice"][4]]
    assert gatekeeper.judge(lost).decision == "retry"
    assert events(vault, tmp_path) == []
    assert gatekeeper.judge(heard["alice"][4]).is_accepted


def test_failures_lock_out_even_the_right_voice(gatekeeper, heard, vault, tmp_path):
    for _ in range(FREE_FAILURES):
        assert gatekeeper.judge(heard["bob"][0]).decision == "rejected"
    locked = gatekeeper.judge(heard["alice"][4])
    assert locked.decision == "locked out" and locked.score is None
    assert events(vault, tmp_path)[-1] == "locked out"


def test_an_acceptance_that_cannot_be_recorded_is_none(gatekeeper, heard, tmp_path):
    path = tmp_path / "vault" / "attempts.eus"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AuthenticationError):
        gatekeeper.judge(heard["alice"][4])


def test_a_nan_score_is_rejected(gatekeeper, heard, monkeypatch):
    monkeypatch.setattr(Scorer, "score", lambda *_: math.nan)
    assert gatekeeper.judge(heard["alice"][4]).decision == "rejected"
