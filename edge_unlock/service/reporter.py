"""Keeps the status of a running ``listen``, and tells whoever observes it of each change."""

import math
import os
import time
from collections.abc import Sequence

from msgspec.structs import replace

from edge_unlock.closing import Closing
from edge_unlock.errors import DeviceError
from edge_unlock.lock.door import Outcome
from edge_unlock.scoring.recognizer import Decision
from edge_unlock.service.status import (
    KEPT,
    Done,
    Link,
    Lockout,
    Microphone,
    Observer,
    Seen,
    State,
    Status,
)
from edge_unlock.vault.record import utc_now


class Reporter(Closing):
    """Tells ``observers``, which it closes in the end, what the listener does.

    For one thread. ``status`` may be read by any: it is never changed, only replaced.
    """

    def __init__(
        self, observers: Sequence[Observer], *, version: str, model: str, microphone: str
    ) -> None:
        now = utc_now()
        self._observers = observers
        self._locked_until_s = math.inf
        self.status = Status(
            state="starting",
            version=version,
            model=model,
            pid=os.getpid(),
            since=now,
            microphone=Microphone(name=microphone, delivers=True, since=now),
        )
        self._tell()

    def ready(self) -> None:
        """It hears, and would judge what it hears."""
        if self.status.lockout is not None and time.monotonic() >= self._locked_until_s:
            self._replace(replace(self.status, lockout=None))
        if self.status.microphone.delivers:
            self._become("listening")

    def decided(self, decision: Decision) -> None:
        """A decision was made."""
        seen = Seen(
            time=utc_now(),
            decision=decision.decision,
            user=decision.user,
            match=decision.match,
            reason=decision.reason,
            seconds=decision.seconds,
        )
        lockout = self.status.lockout
        if decision.decision == "locked out":
            wait_s = math.inf if decision.wait_s is None else decision.wait_s
            self._locked_until_s = time.monotonic() + wait_s
            lockout = Lockout(reason=decision.reason or "", since=seen.time, wait_s=decision.wait_s)
        elif decision.decision != "retry":
            lockout = None
        decisions = (*self.status.decisions, seen)[-KEPT:]
        state: State = "unlocking" if decision.is_accepted else self.status.state
        self._replace(replace(self.status, decisions=decisions, lockout=lockout, state=state))

    def acted(self, outcome: Outcome) -> None:
        """An action has ended."""
        error = outcome.error
        done = Done(
            time=utc_now(),
            action=outcome.action,
            outcome="done" if error is None else error.outcome,
            error=None if error is None else str(error),
        )
        self._replace(replace(self.status, actions=(*self.status.actions, done)[-KEPT:]))

    def microphone(self, error: DeviceError | None) -> None:
        """The microphone failed, or delivers again."""
        before = self.status.microphone
        microphone = replace(
            before,
            delivers=error is None,
            since=utc_now(),
            error=None if error is None else str(error),
            losses=before.losses + (error is not None),
        )
        state: State = "listening" if error is None else "no microphone"
        self._replace(replace(self.status, microphone=microphone, state=state))

    def linked(self, broker: str, error: str | None) -> None:
        """The MQTT broker is connected, or why it is not."""
        self._replace(replace(self.status, link=Link(broker=broker, since=utc_now(), error=error)))

    def overrun(self, count: int) -> None:
        """Samples were lost so many times."""
        before = self.status.microphone
        microphone = replace(before, overruns=before.overruns + count)
        self._replace(replace(self.status, microphone=microphone))

    def close(self) -> None:
        """Say that it stops, and close the observers; calling it again does nothing."""
        if self.status.state == "stopping":
            return
        self._become("stopping")
        for observer in self._observers:
            observer.close()

    def _become(self, state: State) -> None:
        if self.status.state != state:
            self._replace(replace(self.status, state=state))

    def _replace(self, status: Status) -> None:
        self.status = status
        self._tell()

    def _tell(self) -> None:
        for observer in self._observers:
            observer.update(self.status)
