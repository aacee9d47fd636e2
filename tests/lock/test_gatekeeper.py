import dataclasses
import json
import math

import msgspec
import numpy as np
import pytest
from msgspec.structs import asdict

from edge_unlock.encoder.calibration import Quality
from edge_unlock.encoder.gallery import Gallery
from edge_unlock.errors import AuthenticationError, PolicyError
from edge_unlock.lock.gatekeeper import Gatekeeper
from edge_unlock.lock.hearing import Heard
from edge_unlock.lock.trust import policy_for
from edge_unlock.scoring.band import Band
from edge_unlock.scoring.recognizer import Recognizer
from edge_unlock.scoring.scorer import Scorer
from edge_unlock.vault import Consent, KeyFile, ModelIdentity, Vault
from edge_unlock.vault.attempts import TEMPLATE, Uptime

CONSENT = Consent(when="2025-01-31T12:00:00+00:00", purpose="test")


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
    with Vault.create(tmp_path / "vault", KeyFile(tmp_path / "key")) as vault:
        vault.enroll("alice", embeddings, identity, CONSENT)
        yield vault


@pytest.fixture
def recognizer(package, encoder, identity):
    return Recognizer(encoder, Scorer(package), identity)


@pytest.fixture
def gatekeeper(vault, recognizer):
    return Gatekeeper(vault, recognizer, "alice")


@pytest.fixture
def listening(vault, recognizer):
    with Gatekeeper(vault, recognizer, continuous=True) as gatekeeper:
        yield gatekeeper


def events(vault, tmp_path):
    lines = (tmp_path / "vault" / "audit.log").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines][2:]  # after created, enrolled


def test_the_enrolled_voice_is_accepted_and_another_rejected(gatekeeper, heard, vault, tmp_path):
    accepted = gatekeeper.judge(heard["alice"][4])
    assert accepted.is_accepted and accepted.user == "alice"
    assert accepted.score >= accepted.threshold
    rejected = gatekeeper.judge(heard["bob"][4])
    assert rejected.decision == "rejected" and rejected.user == "alice"
    assert rejected.score < rejected.threshold
    assert events(vault, tmp_path) == ["accepted", "rejected"]


def test_an_identification_names_nobody_when_it_rejects(vault, recognizer, heard):
    anyone = Gatekeeper(vault, recognizer)
    assert anyone.judge(heard["alice"][4]).user == "alice"
    rejected = anyone.judge(heard["bob"][4])
    assert rejected.decision == "rejected" and rejected.user is None


def test_an_empty_vault_accepts_nobody(vault, recognizer, heard):
    vault.remove("alice")
    decision = Gatekeeper(vault, recognizer).judge(heard["alice"][0])
    assert decision.decision == "rejected" and decision.reason == "nobody is enrolled"


def test_faults_are_no_attempts(gatekeeper, heard, vault, tmp_path):
    for _ in range(TEMPLATE.capacity + 1):
        assert gatekeeper.judge([]).decision == "retry"
    lost = [Heard(h.segment, audio_lost=True) for h in heard["alice"][4]]
    assert gatekeeper.judge(lost).decision == "retry"
    assert events(vault, tmp_path) == []
    assert gatekeeper.judge(heard["alice"][4]).is_accepted


def test_failures_lock_out_even_the_right_voice(gatekeeper, heard, vault, tmp_path):
    for _ in range(TEMPLATE.capacity):
        assert gatekeeper.judge(heard["bob"][0]).decision == "rejected"
    locked = gatekeeper.judge(heard["alice"][4])
    assert locked.decision == "locked out" and locked.score is None
    assert events(vault, tmp_path)[-1] == "locked out"


def test_an_acceptance_that_cannot_be_recorded_is_none(gatekeeper, heard, tmp_path):
    path = tmp_path / "vault" / "state.eus"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AuthenticationError):
        gatekeeper.judge(heard["alice"][4])


def test_a_nan_score_is_rejected(gatekeeper, heard, monkeypatch):
    monkeypatch.setattr(Gallery, "scores", lambda self, _: np.full(len(self), math.nan))
    assert gatekeeper.judge(heard["alice"][4]).decision == "rejected"


def counters(vault):
    with vault.turn() as turn:
        return turn.attempts


def runs(vault):
    return sorted(bucket.run for bucket in counters(vault).buckets.values())


def test_a_wait_is_logged_once_and_costs_no_more_writing(gatekeeper, heard, vault, tmp_path):
    for _ in range(TEMPLATE.capacity):
        gatekeeper.judge(heard["bob"][0])
    gatekeeper.judge(heard["alice"][4])
    before = state(tmp_path)
    assert gatekeeper.judge(heard["alice"][4]).decision == "locked out"
    assert state(tmp_path) == before
    assert events(vault, tmp_path).count("locked out") == 1


def test_claiming_and_identifying_share_a_bucket(vault, recognizer, heard):
    claiming = Gatekeeper(vault, recognizer, "alice")
    for _ in range(TEMPLATE.capacity):
        claiming.judge(heard["bob"][0])
    assert Gatekeeper(vault, recognizer).judge(heard["alice"][4]).decision == "locked out"


def test_a_success_refunds_its_own_charge_only(gatekeeper, heard, vault):
    gatekeeper.judge(heard["bob"][0])
    before = counters(vault)
    assert gatekeeper.judge(heard["alice"][4]).failed_since.attempts == 1
    after = counters(vault)
    assert {one.full_at for one in after.buckets.values()} == {
        one.full_at for one in before.buckets.values()
    }
    assert runs(vault) == [0, 0]
    assert gatekeeper.judge(heard["alice"][4]).failed_since is None


def test_a_name_that_nobody_bears_is_rejected_like_any_other(vault, recognizer, heard, tmp_path):
    nobody, alice = (Gatekeeper(vault, recognizer, name) for name in ("zoe", "alice"))
    for _ in range(TEMPLATE.capacity):
        one, other = nobody.judge(heard["bob"][4]), alice.judge(heard["bob"][4])
        assert (one.decision, one.reason) == (other.decision, other.reason)
        told = [
            {field for field in fields if fields[field] is None}
            for fields in map(asdict, (one, other))
        ]
        assert told[0] == told[1]
    one, other = nobody.judge(heard["alice"][4]), alice.judge(heard["alice"][4])
    assert one.decision == other.decision == "locked out"


def test_nobody_is_accepted_as_nobody(vault, recognizer, heard, monkeypatch):
    monkeypatch.setattr(Gallery, "scores", lambda self, _: np.ones(len(self)))
    assert Gatekeeper(vault, recognizer, "zoe").judge(heard["alice"][4]).decision == "rejected"


def state(tmp_path):
    return {path: path.read_bytes() for path in (tmp_path / "vault").rglob("*") if path.is_file()}


def test_background_is_not_charged_and_writes_once(listening, heard, vault, tmp_path):
    told = listening.judge(heard["bob"][4])
    assert (told.decision, told.reason) == ("rejected", "like nobody enrolled")
    before = state(tmp_path)
    for _ in range(TEMPLATE.capacity + 1):
        assert listening.judge(heard["bob"][4]).decision == "rejected"
    assert state(tmp_path) == before
    assert runs(vault) == [1, 1]  # an attempt is prepaid
    assert listening.judge(heard["alice"][4]).failed_since is None
    assert runs(vault) == [0, 0]
    assert events(vault, tmp_path) == ["background", "accepted"]
    last = json.loads((tmp_path / "vault" / "audit.log").read_text().splitlines()[-1])
    assert last["fields"]["background"] == TEMPLATE.capacity + 1


def test_closing_refunds_what_was_prepaid(vault, recognizer, heard):
    with Gatekeeper(vault, recognizer, continuous=True) as listening:
        listening.judge(heard["bob"][4])
        assert runs(vault) == [1, 1]
    assert runs(vault) == [0, 0]
    Gatekeeper(vault, recognizer).judge(heard["bob"][4])
    assert runs(vault) == [0, 0]


def test_what_was_prepaid_is_charged_again_once_the_owner_enables(listening, heard, vault):
    listening.judge(heard["bob"][4])
    vault.enable()
    assert runs(vault) == [0, 0]
    listening.judge(heard["bob"][4])
    assert runs(vault) == [1, 1]


def test_what_comes_near_is_charged(listening, heard, vault, package, monkeypatch):
    decision = listening.judge(heard["bob"][4])
    near = Scorer(package).threshold(quality=Quality(decision.seconds)) - 0.01
    monkeypatch.setattr(Gallery, "scores", lambda self, _: np.full(len(self), near))
    for _ in range(3):
        assert listening.judge(heard["bob"][4]).reason == "voice does not match"
    assert runs(vault) == [3, 3]


def test_decisions_grow_stricter_where_no_name_is_claimed(vault, recognizer, heard):
    anyone = Gatekeeper(vault, recognizer)
    usual = anyone.judge(heard["bob"][4]).threshold
    claiming = Gatekeeper(vault, recognizer, "alice")
    for _ in range(TEMPLATE.capacity - 2):
        assert claiming.judge(heard["bob"][4]).threshold == usual
    assert anyone.judge(heard["bob"][4]).threshold > usual


def test_without_rates_everything_is_charged(vault, package, encoder, identity, heard):
    simple = package._replace(manifest=msgspec.structs.replace(package.manifest, nontarget=None))
    anyone = Gatekeeper(vault, Recognizer(encoder, Scorer(simple), identity))
    for _ in range(TEMPLATE.capacity):
        assert anyone.judge(heard["bob"][4]).reason == "voice does not match"
    assert anyone.judge(heard["bob"][4]).decision == "locked out"


def test_decisions_are_on_who_is_enrolled_now(listening, heard, vault, identity, encoder):
    assert listening.judge(heard["alice"][4]).user == "alice"
    vault.remove("alice")
    assert listening.judge(heard["alice"][4]).decision == "rejected"
    rows = np.stack([encoder.embed_pieces(h.segment.samples for h in u) for u in heard["bob"][:4]])
    vault.enroll("bob", rows, identity, CONSENT)
    assert listening.judge(heard["bob"][4]).user == "bob"
    assert listening.judge(heard["alice"][4]).decision == "rejected"


def test_background_is_judged_once_a_second(vault, recognizer, heard, monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    now = Uptime("boot", 100.0)
    anyone = Gatekeeper(vault, recognizer, now=lambda: now)
    anyone.judge(heard["bob"][4])
    assert not slept
    now = Uptime("boot", 100.25)
    anyone.judge(heard["bob"][4])
    assert slept == [pytest.approx(0.75)]
    now = Uptime("boot", 102.0)
    anyone.judge(heard["bob"][4])
    assert len(slept) == 1


def test_nothing_is_decided_by_a_policy_that_was_replaced(vault, recognizer, package, heard):
    mine = policy_for(package)
    gatekeeper = Gatekeeper(vault, recognizer, "alice", policy=mine)
    vault.accept(mine)
    assert gatekeeper.judge(heard["alice"][4]).is_accepted
    vault.accept(policy_for(package, false_accept_rate=0.001))
    before = counters(vault)
    with pytest.raises(PolicyError):
        gatekeeper.judge(heard["alice"][4])
    assert counters(vault).buckets == before.buckets


def begun(heard, share):
    """How an utterance begins, as it is looked at while it goes on."""
    (whole,) = heard[:1]
    samples = whole.segment.samples[: int(share * whole.segment.samples.size)]
    end_s = whole.segment.start_s + samples.size / 16000
    segment = dataclasses.replace(whole.segment, samples=samples, end_s=end_s)
    return Heard(segment, audio_lost=False, is_open=True)


def test_a_clear_match_is_accepted_while_one_still_speaks(listening, heard, vault, tmp_path):
    decision = listening.glance(begun(heard["alice"][4], 0.7))
    assert decision.is_accepted and decision.user == "alice"
    assert events(vault, tmp_path) == ["accepted"]
    assert runs(vault) == [0, 0]


def test_who_is_looked_at_often_pays_once(listening, heard, vault, tmp_path):
    for share in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        assert listening.glance(begun(heard["bob"][4], share)) is None
        assert runs(vault) == [1, 1]  # charged before it was compared, and not again
    assert listening.judge(heard["bob"][4]).decision == "rejected"
    assert max(runs(vault)) <= 1
    listening.close()
    assert max(runs(vault)) <= 1


def test_a_match_that_is_not_clear_waits_for_the_end(listening, heard, monkeypatch):
    monkeypatch.setattr(Band, "of", lambda *_, accepted, **__: Band.CLOSE)
    assert listening.glance(begun(heard["alice"][4], 0.7)) is None
    assert listening.judge(heard["alice"][4]).is_accepted


def test_a_glance_hears_no_faults_and_no_lockout(listening, heard, vault):
    assert listening.glance(begun(heard["alice"][4], 0.05)) is None
    lost = dataclasses.replace(begun(heard["alice"][4], 0.7), audio_lost=True)
    assert listening.glance(lost) is None
    assert not any(runs(vault))
    with vault.turn() as turn:
        attempts = turn.attempts
        for _ in range(TEMPLATE.capacity):
            attempts = attempts.charge(["alice"])
        turn.charge(attempts)
    assert listening.glance(begun(heard["alice"][4], 0.7)) is None
    assert listening.judge(heard["alice"][4]).decision == "locked out"


@pytest.fixture
def bob(vault, identity, encoder, heard):
    """Bob, enrolled beside Alice."""
    rows = np.stack([encoder.embed_pieces(h.segment.samples for h in u) for u in heard["bob"][:4]])
    vault.enroll("bob", rows, identity, CONSENT)


@pytest.fixture(params=[250, 0], ids=["few", "many"])
def most_named(request, monkeypatch):
    """As of few people, and as of more than are charged by name."""
    monkeypatch.setattr("edge_unlock.lock.gatekeeper.MOST_NAMED", request.param)
    return request.param


def test_before_a_comparison_all_are_charged_or_of_many_the_device(
    vault, recognizer, heard, bob, most_named, monkeypatch
):
    def fail(*_):
        raise RuntimeError("killed")

    anyone = Gatekeeper(vault, recognizer)
    monkeypatch.setattr(Gallery, "scores", fail)
    with pytest.raises(RuntimeError):
        anyone.judge(heard["alice"][4])
    assert counters(vault).buckets["device"].run == 1
    assert runs(vault) == ([1, 1, 1] if most_named else [0, 0, 1])


def test_who_was_come_near_to_is_charged_among_many_too(
    vault, recognizer, heard, package, bob, most_named, monkeypatch
):
    anyone = Gatekeeper(vault, recognizer)
    seconds = anyone.judge(heard["alice"][4]).seconds
    near = Scorer(package).threshold(candidates=2, quality=Quality(seconds), enrolled=4) - 0.01
    monkeypatch.setattr(Gallery, "scores", lambda *_: np.array([near, -1.0], dtype=np.float32))
    for _ in range(3):
        assert anyone.judge(heard["alice"][4]).reason == "voice does not match"
    assert runs(vault) == [0, 3, 3]


def test_who_is_locked_out_is_not_compared_and_others_are(
    vault, package, encoder, identity, heard, bob, most_named
):
    anyone, alice = (
        Gatekeeper(vault, Recognizer(encoder, Scorer(package), identity), name)
        for name in (None, "alice")
    )
    assert anyone.judge(heard["alice"][4]).user == "alice"
    for _ in range(TEMPLATE.capacity):
        assert alice.judge(heard["bob"][4]).decision == "rejected"
    assert anyone.judge(heard["alice"][4]).user is None
    assert anyone.judge(heard["bob"][4]).user == "bob"
    with vault.turn() as turn:
        attempts = turn.attempts
        for _ in range(TEMPLATE.capacity):
            attempts = attempts.charge(["bob"]).refund([])
        turn.finish(attempts, "rejected")
    assert anyone.judge(heard["bob"][4]).decision == "locked out"
