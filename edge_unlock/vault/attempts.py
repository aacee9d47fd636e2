"""How often somebody may fail before having to wait, and before the owner has to step in.

A bucket for each template, by the name that is claimed or compared with, and one for the device. An
attempt that fails takes a token out of both; one comes back at a slow pace, up to the capacity. So
a person who is hoarse has a few tries at once, and a stranger gets no more than the pace:

===========  ========  ================  =========================================
bucket       capacity  one comes back    stops after failures without a success
===========  ========  ================  =========================================
a template   5         every 30 minutes  50
the device   10        every 15 minutes  100
===========  ========  ================  =========================================

What a stranger can try with the name of somebody, and the chance that one of these is accepted,
1 - (1 - far)^n, at each false-accept rate:

=====================================  =====  ======  ======  ======
within                                 tries  1e-2    1e-3    1e-4
=====================================  =====  ======  ======  ======
an hour                                7      6.8 %   0.7 %   0.07 %
a day, or ever: then it stops          50     39 %    4.9 %   0.50 %
a month in which the owner comes by    1445   100 %   76 %    13 %
=====================================  =====  ======  ======  ======

The last line is the most that anybody can get: the owner's acceptance ends the run of failures that
leads to the stop, but refills no bucket, and tells him of the failures. At 1e-2 voice alone
keeps no determined stranger out for a month; at 1e-4 the bucket does much.

A success gives back its own token and ends its own template's run of failures, and the device's;
it clears nothing of anybody else's. Names that nobody bears have buckets like any other, so that
none tells who is enrolled; those are few, since the device's bucket bounds them.

Where no name is claimed (``identify``, ``listen``) what is like nobody enrolled charges nobody, so
a television charges little; but among so many voices some come near. So each decision is made the
more strictly the less there is in the bucket: ``strictness``. A television then takes what is
refilled, no more, and the door stays open to a voice that is clearly its owner's.

Of more than ``MOST_NAMED`` people who are compared with at once nobody in particular is charged
beforehand, but the device, whose bucket bounds all attempts; who was come near to is charged
afterwards as ever.

Time is that in which the device was up, sleep included, never the wall clock: setting the clock has
no effect. After a reboot the count goes on from where it was last written: time off is no credit,
and a reboot ends no wait. All of this is arithmetic on a state; ``vault.turn`` makes it durable.
"""

import time
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec

from edge_unlock.errors import AuthenticationError, LockedOutError, VaultError

SECONDS_PER_HOUR: Final = 3600
MAX_STRANGERS: Final = 64
"""So many names that nobody bears are remembered with their failures."""

MOST_NAMED: Final = 250
"""Of more people at once, no bucket each is written."""

_STRICTNESS: Final = ((4, 1.0), (3, 3.0), (2, 10.0))  # by tokens; with fewer, 30
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_DEVICE_KEY: Final = "device"


class Limits(NamedTuple):
    """Of one bucket: tokens in a full one, seconds until one is back, failures until the stop."""

    capacity: int
    refill_s: float
    stop: int


TEMPLATE: Final = Limits(capacity=5, refill_s=1800.0, stop=50)
DEVICE: Final = Limits(capacity=10, refill_s=900.0, stop=100)


class Uptime(NamedTuple):
    """A moment: which boot, and how many seconds after it, sleep included."""

    boot_id: str
    seconds: float


def uptime() -> Uptime:
    """Return the present moment, from clocks that nobody can set; VaultError without /proc."""
    try:
        boot_id = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError as error:
        raise VaultError(
            f"cannot tell this boot from the last: {_BOOT_ID} is not readable",
            "let the service read it: ProcSubset=all",
        ) from error
    return Uptime(boot_id, time.clock_gettime(time.CLOCK_BOOTTIME))


Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class Bucket(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is known of one name, or of the device; seconds are of ``Attempts.clock_s``."""

    full_at: Seconds = 0.0
    """When it will be full again: one number says how much is in it (as in GCRA, ITU-T I.371)."""
    run: Count = 0
    """Failures since the last success."""
    told: Count = 0
    """``Attempts.failed`` when its owner was last accepted."""
    accepted: Seconds | None = None
    """When its owner was last accepted, or enabled it."""
    accepted_on: str | None = None
    """The same by the wall clock, ISO 8601 in UTC: for people, nothing is decided by it."""


class Failures(msgspec.Struct, frozen=True):
    """How many attempts failed since the last acceptance; ``since`` is ISO 8601 in UTC."""

    attempts: int
    since: str | None


class Attempts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The state of all buckets. Nothing here changes it: each method returns the next one."""

    clock_s: Seconds = 0.0
    """Seconds for which the device was up, as far as they were counted."""
    boot_id: str = ""
    boot_s: Seconds = 0.0
    """When it was last counted: which boot, and how many seconds after it."""
    failed: Count = 0
    """Attempts that failed, ever."""
    refusal_logged: bool = False
    """Whether a refusal was logged since the last attempt: one line a lockout is enough."""
    buckets: dict[str, Bucket] = {}

    def to_bytes(self) -> bytes:
        """Return the state as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Attempts":
        """Undo ``to_bytes``; AuthenticationError for what it never wrote."""
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise AuthenticationError("the attempt counters are not understood") from error

    def at(self, now: Uptime) -> "Attempts":
        """Return the state with its clock put forward to ``now``."""
        since_s = self.boot_s if now.boot_id == self.boot_id else 0.0
        until_s = max(since_s, now.seconds)  # less in a time namespace: nothing is counted twice
        clock_s = self.clock_s + until_s - since_s
        return msgspec.structs.replace(self, clock_s=clock_s, boot_id=now.boot_id, boot_s=until_s)

    def check(self, name: str | None, idle_limit_h: float | None = None) -> None:
        """Raise LockedOutError unless an attempt may be made: of ``name``, or by the device.

        ``idle_limit_h``: after so many hours of the device without an acceptance of this person
        voice alone no longer suffices.
        """
        wait_s = 0.0
        for key, limits, whom in self._involved(name):
            bucket = self.buckets.get(key, Bucket())
            if bucket.run >= limits.stop:
                raise LockedOutError(
                    f"{bucket.run} failed attempts without a success: use edge-unlock enable{whom}"
                )
            wait_s = max(wait_s, self._wait_s(bucket, limits))
        if wait_s > 0:
            whole_s = int(wait_s) + 1
            raise LockedOutError(f"too many failed attempts: wait {whole_s} s", wait_s=whole_s)
        if idle_limit_h is not None and name is not None:
            accepted = self._bucket(name).accepted or 0.0  # else: since it is counted at all
            idle_h = (self.clock_s - accepted) / SECONDS_PER_HOUR
            if idle_h > idle_limit_h:
                raise LockedOutError(
                    f"not recognised for {idle_h:.0f} hours: use edge-unlock enable {name}"
                )

    def strictness(self, name: str | None) -> float:
        """By how much rarer a false accept has to be than usually: 1, 3, 10 or 30.

        The fewer tokens are left the fewer voices come near, so that a television leaves the last
        ones alone. Chosen by ``convert/figures/television.py``.
        """
        left = min(
            limits.capacity - (bucket.full_at - self.clock_s) / limits.refill_s
            for key, limits, _ in self._involved(name)
            for bucket in [self.buckets.get(key, Bucket())]
        )
        return next((factor for least, factor in _STRICTNESS if left >= least), 30.0)

    def charge(self, names: Iterable[str], enrolled: Collection[str] = ()) -> "Attempts":
        """Take a token for a failure out of the bucket of each name, and out of the device's.

        To be written to disk before anything is compared. Names of nobody ``enrolled`` are
        forgotten when there are many, those with the fewest failures first.
        """
        changed = {
            key: msgspec.structs.replace(
                bucket,
                full_at=max(bucket.full_at, self.clock_s) + limits.refill_s,
                run=bucket.run + 1,
            )
            for key, limits, bucket in self._buckets_of(names)
        }
        buckets = {**self.buckets, **changed}
        if len(buckets) > max(MAX_STRANGERS, len(self.buckets)):
            known = {_DEVICE_KEY, *map(bucket_key, enrolled)}
            strangers = sorted(buckets.keys() - known, key=lambda key: buckets[key].run)
            for key in strangers[: max(0, len(strangers) - MAX_STRANGERS)]:
                del buckets[key]
        return msgspec.structs.replace(self, buckets=buckets, refusal_logged=False)

    def refund(self, names: Iterable[str], *, device: bool = True) -> "Attempts":
        """Undo a ``charge`` to these names, and to the ``device``."""
        changed = {
            key: msgspec.structs.replace(
                bucket,
                full_at=max(0.0, bucket.full_at - limits.refill_s),
                run=max(0, bucket.run - 1),
            )
            for key, limits, bucket in self._buckets_of(names)
            if device or key != _DEVICE_KEY
        }
        return self._having(changed)

    def failing(self) -> "Attempts":
        """Count a failure, for ``failed_since`` to tell of."""
        return msgspec.structs.replace(self, failed=self.failed + 1)

    def accepting(self, name: str, when: str) -> "Attempts":
        """End the runs of failures of ``name`` and of the device; buckets stay as they are."""
        mine = self._accepted(self._bucket(name), when)
        device = msgspec.structs.replace(self.buckets.get(_DEVICE_KEY, Bucket()), run=0)
        return self._having({bucket_key(name): mine, _DEVICE_KEY: device})

    def enabling(self, names: Collection[str], when: str, *, device: bool = False) -> "Attempts":
        """Fill the buckets of these names, and the ``device``'s, and end their runs of failures.

        The owner's word, who has the key; also for who is enrolled anew. More than ``MOST_NAMED``
        are everybody: all buckets are forgotten, which says the same, and the clock begins anew.
        """
        if len(names) > MOST_NAMED:
            return msgspec.structs.replace(self, clock_s=0.0, buckets={})
        fresh = {bucket_key(name): self._accepted(Bucket(), when) for name in names}
        return self._having(fresh | ({_DEVICE_KEY: Bucket()} if device else {}))

    def forgetting(self, name: str) -> "Attempts":
        """Drop the bucket of ``name``."""
        buckets = {key: one for key, one in self.buckets.items() if key != bucket_key(name)}
        return msgspec.structs.replace(self, buckets=buckets)

    def failed_since(self, name: str) -> Failures | None:
        """Return what failed since ``name`` was last accepted; None if nothing did."""
        bucket = self._bucket(name)
        count = self.failed - bucket.told
        return Failures(count, bucket.accepted_on) if count > 0 else None

    @classmethod
    def migrated(cls, data: bytes, now: Uptime) -> "Attempts":
        """Make a state of the counters that earlier releases kept: failures by key.

        Raises AuthenticationError for what they never wrote.
        """
        try:
            old = msgspec.json.decode(data, type=dict[str, tuple[Count, str, float]])
        except msgspec.MsgspecError as error:
            raise AuthenticationError("the attempt counters are not understood") from error
        state = cls().at(now)
        buckets: dict[str, Bucket] = {}
        for subject, (failures, _, _) in old.items():
            anyone = subject in (bucket_key("*"), "others")
            key, limits = (_DEVICE_KEY, DEVICE) if anyone else (subject, TEMPLATE)
            taken = min(failures, limits.capacity)
            bucket = Bucket(full_at=state.clock_s + taken * limits.refill_s, run=failures)
            buckets[key] = max(bucket, buckets.get(key, Bucket()), key=lambda one: one.full_at)
        return state._having(buckets)

    def _accepted(self, bucket: Bucket, when: str) -> Bucket:
        return msgspec.structs.replace(
            bucket, run=0, told=self.failed, accepted=self.clock_s, accepted_on=when
        )

    def _wait_s(self, bucket: Bucket, limits: Limits) -> float:
        return bucket.full_at - self.clock_s - (limits.capacity - 1) * limits.refill_s

    def _bucket(self, name: str) -> Bucket:
        return self.buckets.get(bucket_key(name), Bucket(told=self.failed))

    def _buckets_of(self, names: Iterable[str]) -> list[tuple[str, Limits, Bucket]]:
        named = [(bucket_key(name), TEMPLATE, self._bucket(name)) for name in names]
        return [*named, (_DEVICE_KEY, DEVICE, self.buckets.get(_DEVICE_KEY, Bucket()))]

    def _involved(self, name: str | None) -> list[tuple[str, Limits, str]]:
        """The key and limits of each bucket that an attempt needs, and whom to enable."""
        device = (_DEVICE_KEY, DEVICE, "")
        return [device] if name is None else [(bucket_key(name), TEMPLATE, f" {name}"), device]

    def _having(self, changed: Mapping[str, Bucket]) -> "Attempts":
        return msgspec.structs.replace(self, buckets={**self.buckets, **changed})


@lru_cache(maxsize=2**17)
def bucket_key(name: str) -> str:
    """Return the key of a name: of fixed size, and of no form that a name may have."""
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
