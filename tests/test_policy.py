import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_unlock import policy
from edge_unlock.errors import AuthenticationError, LockedOutError
from edge_unlock.policy import ANYONE, EMPTY_STATE, AttemptPolicy, Uptime
from edge_unlock.vault import KeyFile, Vault


class Memory:
    """A state store without a disk."""

    def __init__(self) -> None:
        self.state = EMPTY_STATE
        self.writes = 0

    def read(self) -> bytes:
        return self.state

    def update(self, change: Callable[[bytes], bytes]) -> None:
        self.state = change(self.state)
        self.writes += 1


class Device:
    """A policy and its clock."""

    def __init__(self) -> None:
        self.now = Uptime("first boot", 1000.0)
        self.memory = Memory()
        self.policy = AttemptPolicy(self.memory, lambda: self.now)

    def fail(self, times: int, subject: str = "Ana") -> None:
        for _ in range(times):
            self.policy.record_failure(subject)

    def wait(self, seconds: float) -> None:
        self.now = Uptime(self.now.boot_id, self.now.seconds + seconds)

    def wait_s(self, subject: str = "Ana") -> int:
        try:
            self.policy.check(subject)
        except LockedOutError as error:
            return int(str(error).split()[-2])
        return 0


@pytest.mark.parametrize(
    ("failures", "wait_s"),
    [(0, 0), (4, 0), (5, 30), (6, 60), (7, 120), (11, 1920), (12, 3600), (500, 3600)],
)
def test_the_wait_doubles_to_an_hour(failures: int, wait_s: int) -> None:
    device = Device()
    device.fail(failures)
    assert device.wait_s() == wait_s
    device.wait(wait_s - 0.5)
    assert device.wait_s() == (1 if wait_s else 0)
    device.wait(0.5)
    assert device.wait_s() == 0


def test_subjects_are_apart_and_success_forgets() -> None:
    device = Device()
    device.fail(6)
    assert device.wait_s("Bo") == device.wait_s(ANYONE) == 0
    device.policy.record_success("Bo")
    assert device.wait_s() == 60
    device.policy.record_success("Ana")
    assert device.wait_s() == 0
    device.fail(4)
    assert device.wait_s() == 0


def test_success_without_failures_writes_nothing() -> None:
    device = Device()
    device.policy.record_success("Ana")
    assert device.memory.writes == 0


def test_a_reboot_begins_the_wait_anew() -> None:
    device = Device()
    device.fail(6)
    device.now = Uptime("second boot", 20.0)
    assert device.wait_s() == 40
    device.now = Uptime("third boot", 5000.0)
    assert device.wait_s() == 0


def test_setting_the_clock_has_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory()
    real = AttemptPolicy(memory)
    for _ in range(6):
        real.record_failure("Ana")
    for wall_clock in (0.0, 4e9):
        monkeypatch.setattr(time, "time", lambda wall_clock=wall_clock: wall_clock)
        with pytest.raises(LockedOutError):
            real.check("Ana")


def test_many_names_neither_fill_the_table_nor_clear_a_lockout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(policy, "MAX_SUBJECTS", 10)
    device = Device()
    device.fail(7)
    for index in range(100):
        device.fail(1, f"stranger {index}")
    assert device.wait_s() == 120
    assert device.memory.state.count(b"first boot") == 11
    assert device.wait_s("yet another") > 0  # newcomers share one counter then


@pytest.mark.parametrize("state", [b"", b"[]", b'{"x":1}', b'{"x":[1,2]}', b'{"x":["a","b","c"]}'])
def test_state_that_is_not_understood_is_refused(state: bytes) -> None:
    device = Device()
    device.memory.state = state
    for use in (device.policy.check, device.policy.record_failure, device.policy.record_success):
        with pytest.raises(AuthenticationError):
            use("Ana")
    assert device.memory.state == state


def test_a_lockout_outlives_the_process_and_tampering_is_refused(tmp_path: Path) -> None:
    home, key = tmp_path / "vault", KeyFile(tmp_path / "key")
    with Vault.create(home, key) as vault:
        for _ in range(6):
            vault.attempts.record_failure(ANYONE)
    with Vault.open(home, key) as vault:
        with pytest.raises(LockedOutError):
            vault.attempts.check(ANYONE)
        path = home / "attempts.eus"
        original = path.read_bytes()
        for damage in (b"", original[:-1], original[:-1] + bytes([original[-1] ^ 1]), None):
            path.unlink()
            if damage is not None:
                path.touch(mode=0o600)
                path.write_bytes(damage)
            for use in (vault.attempts.check, vault.attempts.record_failure):
                with pytest.raises(AuthenticationError):
                    use(ANYONE)
