import time

import pytest

from edge_unlock.errors import AuthenticationError, LockedOutError
from edge_unlock.vault.attempts import (
    DEVICE,
    MAX_STRANGERS,
    TEMPLATE,
    Attempts,
    Failures,
    Uptime,
    uptime,
)

WHEN = "2026-11-24T14:05:00+00:00"
HOUR_S = 3600.0


class Door:
    """A state of attempts and its clock."""

    def __init__(self) -> None:
        self.now = Uptime("first boot", 1000.0)
        self.state = Attempts().at(self.now)

    def wait(self, seconds: float) -> None:
        self.now = Uptime(self.now.boot_id, self.now.seconds + seconds)
        self.state = self.state.at(self.now)

    def is_open(self, name: str | None = "Ana") -> bool:
        try:
            self.state.check(name)
        except LockedOutError:
            return False
        return True

    def fail(self, *names: str) -> None:
        self.state = self.state.charge(names or ("Ana",), ["Ana", "Bo"]).failing()

    def succeed(self, name: str = "Ana") -> None:
        self.state = self.state.accepting(name, WHEN)

    def guesses(self, hours: float, name: str = "Ana", *, owner_every_h: float = 0) -> int:
        """How often one can fail in these hours, trying every minute."""
        guesses, next_h = 0, owner_every_h
        for step in range(int(hours * 60)):
            if owner_every_h and step / 60 >= next_h:
                self.succeed(name)
                next_h += owner_every_h
            while self.is_open(name):
                self.fail(name)
                guesses += 1
            self.wait(60)
        return guesses


@pytest.mark.parametrize(
    ("hours", "guesses"), [(0.1, 5), (1, 6), (2.1, 9), (10.1, 25), (24, 50), (200, 50)]
)
def test_a_stranger_gets_the_bucket_then_its_pace_then_the_stop(hours: float, guesses: int) -> None:
    assert Door().guesses(hours) == guesses


def test_a_month_in_which_the_owner_comes_by() -> None:
    guesses = Door().guesses(30 * 24, owner_every_h=12)
    assert guesses == 5 + 30 * 48 - 1  # one is back just as the month ends


def test_the_device_has_a_bucket_of_its_own() -> None:
    door = Door()
    for number in range(DEVICE.capacity):
        assert door.is_open(f"nobody {number}")
        door.fail(f"nobody {number}")
    assert not door.is_open("nobody else") and not door.is_open("Ana") and not door.is_open(None)
    door.wait(DEVICE.refill_s)
    assert door.is_open("Ana")


def test_names_that_nobody_bears_are_refused_like_the_others() -> None:
    known, unknown = Door(), Door()
    unknown.state = unknown.state.forgetting("Ana")
    assert known.guesses(100) == unknown.guesses(100, "nobody") == TEMPLATE.stop


def test_a_wait_is_told_and_true() -> None:
    door = Door()
    for _ in range(TEMPLATE.capacity):
        door.fail()
    with pytest.raises(LockedOutError, match="wait 1801 s"):
        door.state.check("Ana")
    door.wait(1799)
    assert not door.is_open()
    door.wait(1)
    assert door.is_open()


def test_a_success_refunds_nothing_and_ends_only_its_own_run() -> None:
    door = Door()
    for _ in range(TEMPLATE.capacity):
        door.fail("Ana")
    door.succeed("Bo")
    assert not door.is_open("Ana")
    door.succeed("Ana")
    assert not door.is_open("Ana")  # its bucket is as empty as before
    door = Door()
    for _ in range(TEMPLATE.stop - 1):
        door.fail("Ana")
        door.succeed("Bo")
        door.wait(HOUR_S)
    assert door.is_open("Ana")
    door.fail("Ana")
    door.wait(1000 * HOUR_S)
    with pytest.raises(LockedOutError, match=r"50 failed attempts .* edge-unlock enable Ana"):
        door.state.check("Ana")
    assert door.is_open("Bo")


def test_a_refund_undoes_a_charge() -> None:
    door = Door()
    door.fail()
    before = door.state.buckets
    door.wait(10)
    assert door.state.charge(["Ana", "Bo"]).refund(["Ana", "Bo"]).buckets["device"].run == 1
    again = door.state.charge(["Ana"]).refund(["Ana"])
    assert again.buckets == before


def test_the_owner_ends_waits_and_stops() -> None:
    door = Door()
    door.guesses(100)
    assert not door.is_open()
    one = door.state.enabling(["Ana"], WHEN)
    one.check("Ana")
    while door.is_open(None):
        door.fail("nobody")
    with pytest.raises(LockedOutError):
        door.state.enabling(["Ana"], WHEN).check("Ana")  # it is the device that waits
    door.state.enabling(["Ana"], WHEN, device=True).check("Ana")


def test_a_reboot_ends_no_wait_and_time_off_is_no_credit() -> None:
    door = Door()
    for _ in range(TEMPLATE.capacity):
        door.fail()
    door.wait(1000)
    door.now = Uptime("second boot", 20.0)
    door.state = door.state.at(door.now)
    assert not door.is_open()
    door.wait(779)
    assert not door.is_open()
    door.wait(1)
    assert door.is_open()


def test_setting_the_clock_has_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    state = Attempts().at(uptime())
    for _ in range(TEMPLATE.capacity):
        state = state.charge(["Ana"])
    for wall_clock in (0.0, 4e9):
        monkeypatch.setattr(time, "time", lambda wall_clock=wall_clock: wall_clock)
        with pytest.raises(LockedOutError):
            state.at(uptime()).check("Ana")


def test_a_clock_that_goes_back_gives_nothing() -> None:
    door = Door()
    before = door.state.clock_s
    door.wait(-500)
    assert door.state.clock_s == before
    door.wait(500)
    assert door.state.clock_s == before
    door.wait(1)
    assert door.state.clock_s == before + 1


def test_many_names_neither_fill_the_table_nor_clear_a_lockout() -> None:
    door = Door()
    door.guesses(100)
    for number in range(1000):
        door.fail(f"stranger {number}")
        door.wait(DEVICE.refill_s)
    assert len(door.state.buckets) <= MAX_STRANGERS + 3
    with pytest.raises(LockedOutError):
        door.state.enabling([], WHEN, device=True).check("Ana")
    assert len(door.state.to_bytes()) < 16 * 1024


def test_strictness_grows_as_the_bucket_empties() -> None:
    door = Door()
    seen = []
    while door.is_open():
        seen.append(door.state.strictness("Ana"))
        door.fail()
    assert seen == [1, 1, 3, 10, 30]
    assert door.state.strictness("Bo") == 1


def test_too_long_without_the_owner_voice_does_not_suffice() -> None:
    door = Door()
    door.state = door.state.enabling(["Ana"], WHEN)
    door.wait(47 * HOUR_S)
    door.state.check("Ana", idle_limit_h=48)
    door.wait(2 * HOUR_S)
    with pytest.raises(LockedOutError, match="49 hours: use edge-unlock enable Ana"):
        door.state.check("Ana", idle_limit_h=48)
    door.state.check("Ana")
    door.state.accepting("Ana", WHEN).check("Ana", idle_limit_h=48)
    door.state.enabling(["Ana"], WHEN).check("Ana", idle_limit_h=48)
    with pytest.raises(LockedOutError):  # nobody bears the name: the same words
        door.state.check("nobody", idle_limit_h=48)


def test_the_owner_is_told_what_failed_since() -> None:
    door = Door()
    door.succeed("Bo")
    assert door.state.failed_since("Ana") is None
    door.fail("Ana")
    assert door.state.failed_since("Ana") == Failures(1, None)
    door.succeed("Ana")
    assert door.state.failed_since("Ana") is None
    door.fail("Ana")
    door.fail("nobody")
    assert door.state.failed_since("Ana") == Failures(2, WHEN)
    assert door.state.failed_since("Bo") == Failures(3, WHEN)


@pytest.mark.parametrize(
    "state",
    [
        *(b"", b"[]", b'{"x":1}', b'{"buckets":{"a":1}}', b'{"clock_s":NaN}', b'{"clock_s":-1}'),
        *(b'{"clock_s":1e999}', b'{"failed":1%s}' % (b"0" * 5000), b'{"buckets":' * 5000),
        b'{"buckets":{"a":{"full_at":Infinity}}}',
    ],
)
def test_state_that_is_not_understood_is_refused(state: bytes) -> None:
    with pytest.raises(AuthenticationError):
        Attempts.from_bytes(state)
    with pytest.raises(AuthenticationError):
        Attempts.migrated(state, Uptime("boot", 1.0))


def test_the_state_comes_back() -> None:
    door = Door()
    door.fail("Ana", "Bo")
    door.succeed("Ana")
    assert Attempts.from_bytes(door.state.to_bytes()) == door.state


def test_a_lockout_of_an_earlier_release_goes_on() -> None:
    key = Attempts().charge(["Ana"]).buckets.keys() - {"device"}
    old = b'{"%s":[7,"boot",1.0]}' % key.pop().encode()
    state = Attempts.migrated(old, Uptime("boot", 5000.0))
    with pytest.raises(LockedOutError):
        state.check("Ana")
    state.check("Bo")
    assert Attempts.migrated(b"{}", Uptime("boot", 5000.0)).buckets == {}
