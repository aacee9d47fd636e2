"""The loop of ``listen``: hears, has judged what was said, and opens the door."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from edge_unlock.closing import Closing
from edge_unlock.lock.door import Door, Outcome
from edge_unlock.lock.gatekeeper import Gatekeeper
from edge_unlock.lock.hearing import Heard, Hearing
from edge_unlock.scoring.recognizer import Decision
from edge_unlock.service.reporter import Reporter
from edge_unlock.vault.audit import AuditLog

BEAT_S: Final = 0.1


class Listener(Closing):
    """Judges each utterance once, and opens at most once for it.

    What begins while the door is busy or within ``refractory_s`` of speech or silence after that,
    or goes on from there, is dropped: nobody meant it for a closed door. So is what begins so soon
    after the end of an utterance that opened before it had ended. ``beat`` is called for each block
    that was heard, some 30 times a second, and while it waits for the door, which is its own.
    """

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        door: Door,
        log: AuditLog,
        reporter: Reporter,
        *,
        refractory_s: float = 0.0,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._gatekeeper = gatekeeper
        self._door = door
        self._log = log
        self._reporter = reporter
        self._refractory_s = refractory_s
        self._beat = beat
        self._deaf_until_s = -1.0  # in the time of the hearing
        self._goes_on = False  # what opened the door had not ended then
        self._unlogged: deque[Outcome] = deque()

    def events(self, hearing: Hearing, *, live: bool = True) -> Iterator[Decision | Outcome]:
        """Yield what was decided, and what became of each action, until the source ends.

        A decision is in the log, and its actions have begun, before it is yielded. What is not
        ``live`` waits for the door after each acceptance, as nobody goes on speaking meanwhile.
        """
        self._deaf_until_s, self._goes_on = -1.0, False
        overruns = hearing.source.overruns
        for heard in hearing.steps():
            self._beat()
            if hearing.source.overruns != overruns:
                self._reporter.overrun(hearing.source.overruns - overruns)
                overruns = hearing.source.overruns
            yield from self._ended()
            if self._door.is_busy:
                self._deaf_until_s = hearing.position_s + self._refractory_s
            elif hearing.position_s >= self._deaf_until_s:
                self._reporter.ready()
            for one in heard:
                decision = self._judge(one)
                if decision is not None:
                    self._reporter.decided(decision)
                    yield decision
                    if not live:
                        yield from self.finish()
        yield from self.finish()

    def finish(self) -> Iterator[Outcome]:
        """Wait until the actions have ended, and yield what became of them."""
        while self._door.is_busy:
            self._beat()
            self._door.wait(BEAT_S)
        yield from self._ended()

    def close(self) -> None:
        """Close the door, and log what became of the actions that this stopped."""
        self._door.close()
        deque(self._ended(), maxlen=0)

    def _judge(self, heard: Heard) -> Decision | None:
        """Decide, and open the door if that is due; None for what nobody is to be told of."""
        if self._door.is_busy or heard.start_s <= self._deaf_until_s:
            self._drop(heard)
            return None
        decision = (
            self._gatekeeper.glance(heard) if heard.is_open else self._gatekeeper.judge([heard])
        )
        if decision is not None and decision.is_accepted:
            self._door.open(decision)
            self._deaf_until_s = heard.end_s + self._refractory_s
            self._goes_on = heard.segment.truncated or heard.is_open
        return decision

    def _drop(self, heard: Heard) -> None:
        """Have dropped what goes on from this: speech that was cut, or has not ended."""
        if heard.segment.truncated or heard.is_open:
            self._deaf_until_s = max(self._deaf_until_s, heard.end_s)
        elif self._goes_on:  # no longer
            self._deaf_until_s = max(self._deaf_until_s, heard.end_s + self._refractory_s)
            self._goes_on = False

    def _ended(self) -> Iterator[Outcome]:
        """Log and yield what became of the actions that have ended."""
        self._unlogged.extend(self._door.outcomes())
        while self._unlogged:
            outcome = self._unlogged[0]
            error, user = outcome.error, outcome.decision.user
            if error is None:
                self._log.append("unlock done", user=user, action=outcome.action)
            else:
                self._log.append(
                    f"unlock {error.outcome}",
                    user=user,
                    action=outcome.action,
                    status=error.status,
                )
            self._unlogged.popleft()  # not before: a signal that ends us leaves it to `close`
            self._reporter.acted(outcome)
            yield outcome
