"""Puts the attempt policy and the audit log around the recognizer: what a lock relies on."""

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from edge_unlock.closing import Closing
from edge_unlock.errors import LockedOutError
from edge_unlock.lock.hearing import Heard
from edge_unlock.scoring.band import Band
from edge_unlock.scoring.candidates import Floats
from edge_unlock.scoring.recognizer import Comparison, Decision, Recognizer, Voice
from edge_unlock.segmentation.quality import VERIFY_LIMITS, Fault, speech_seconds
from edge_unlock.vault import Policy, Template, Turn, Vault
from edge_unlock.vault.attempts import MOST_NAMED, Attempts, Uptime, bucket_key, uptime
from edge_unlock.vault.record import utc_now

ANYONE = "*"
"""The subject, in the log, of an attempt that claims no name."""

LEAST_INTERVAL_S = 1.0
"""Nobody says two sentences within it: after background, which is free, it is waited for."""

MOST_HOUSEMATES = 5
"""So many others are strangers to who is claimed: to open a template takes milliseconds."""

BACKGROUND = "background"
"""The log's word for speech that is like nobody enrolled."""


class Gatekeeper(Closing):
    """Judges utterances and keeps the books: every judged one is an attempt.

    Utterances that cannot be judged (too short, too noisy, ...) are no attempts. While locked out
    nothing is compared at all. Any error means no unlock: it is raised.

    Without a ``claimed`` name, what is like nobody enrolled is background: rejected, and no
    attempt. Where listening is ``continuous`` it costs no writing: the attempt that was charged
    before it was compared is kept, for the next utterance, until ``close``. Who is killed before
    that has used it up.

    ``microphone`` tells which place it is, if one was learned. With ``policy``, by which the
    recognizer was made, nothing is decided once the vault has another (``PolicyError``).
    """

    def __init__(  # noqa: PLR0913 - the conditions of a lock, all but three by name
        self,
        vault: Vault,
        recognizer: Recognizer,
        claimed: str | None = None,
        *,
        policy: Policy | None = None,
        microphone: str = "",
        continuous: bool = False,
        idle_limit_h: float | None = None,
        now: Callable[[], Uptime] = uptime,
    ) -> None:
        self._vault = vault
        self._recognizer = recognizer
        self._claimed = claimed
        self._policy = policy
        self._microphone = microphone
        self._continuous = continuous
        self._idle_limit_h = idle_limit_h
        self._now = now
        self._generation = -1
        self._numbers: dict[str, int] = {}
        self._held: list[str] | None = None
        self._unlogged = 0
        self._passed_s = -LEAST_INTERVAL_S

    def judge(self, heard: Sequence[Heard]) -> Decision:
        """Decide on what was said in one go, by the vault as it is now."""
        voice = self._voice(heard)
        if isinstance(voice, Fault):
            seconds = round(speech_seconds([utterance.segment for utterance in heard]), 2)
            return Decision.retry(voice, seconds)
        self._pause()
        # what the turn holds is on the disk when it ends: an unlock that cannot be recorded is none
        with self._vault.turn() as turn:
            try:
                decision = self._end(turn, self._attempt(turn, voice))
            except LockedOutError as refusal:
                decision = self._refuse(turn, refusal)
        return msgspec.structs.replace(decision, user=decision.user or self._claimed)

    def glance(self, heard: Heard) -> Decision | None:
        """Accept who has not ended yet, if the match is clear already; None: wait for the end.

        What is not accepted stays charged, and is given back or not when the whole is judged: an
        utterance costs one attempt, however often it was looked at. For ``continuous`` listening.
        """
        voice = self._voice([heard])
        if isinstance(voice, Fault) or self._wait_s > 0:
            return None
        with self._vault.turn() as turn:
            try:
                attempt = self._attempt(turn, voice)
            except LockedOutError:
                return None
            if attempt.comparison.decision.match != Band.CLEAR:
                return None
            return self._settle(turn, attempt)

    def _voice(self, heard: Sequence[Heard]) -> Voice | Fault:
        """What can be judged of it, or why it cannot."""
        segments = [utterance.segment for utterance in heard]
        if any(utterance.audio_lost for utterance in heard):
            return Fault.AUDIO_LOST
        fault = VERIFY_LIMITS.fault_of(segments)
        if fault is not None:
            return fault
        embedded = heard[0].embedding if len(heard) == 1 else None
        return self._recognizer.hear(segments, embedded) or Fault.TOO_SHORT

    def close(self) -> None:
        """Give back the attempt that was kept for the next utterance; again, do nothing."""
        if self._held is None:
            return
        with self._vault.turn() as turn:
            attempts = turn.attempts.at(self._now()).refund(self._held)
            turn.finish(attempts, BACKGROUND, utterances=self._unlogged)
        self._held, self._unlogged = None, 0

    @property
    def _wait_s(self) -> float:
        """How long until the last background is ``LEAST_INTERVAL_S`` ago."""
        return self._passed_s + LEAST_INTERVAL_S - self._now().seconds

    def _pause(self) -> None:
        if self._wait_s > 0:
            time.sleep(self._wait_s)

    def _attempt(self, turn: Turn, voice: Voice) -> "_Attempt":
        """Charge for a comparison, then make it; LockedOutError where none may be made."""
        is_changed = self._learn(turn)
        held, attempts = self._held, turn.attempts.at(self._now())
        if held is not None:
            attempts = attempts.refund(held)
        wanted = self._admitted(attempts)
        names = self._charged(wanted)
        is_prepaid = names == held and not is_changed
        if not is_prepaid:
            turn.charge(attempts.charge(names, turn.enrolled))
            self._held = names
        comparison = self._recognizer.compare(voice, self._recognizer.strictness(wanted))
        return _Attempt(attempts, comparison, is_prepaid)

    def _end(self, turn: Turn, attempt: "_Attempt") -> Decision:
        if self._is_background(attempt.comparison):
            return self._let_pass(turn, attempt)
        return self._settle(turn, attempt)

    def _learn(self, turn: Turn) -> bool:
        """Have the recognizer know who is enrolled, and the place; say whether that was new."""
        if turn.generation == self._generation:
            return False
        if self._policy is not None:
            turn.check(self._policy)
        identity = self._recognizer.identity
        others: list[Template] = []
        if self._claimed is None:
            templates = turn.templates(identity)
        else:
            templates = [turn.template(self._claimed, identity)]
            others = turn.housemates(self._claimed, identity, MOST_HOUSEMATES)
        self._recognizer.know(templates, others, turn.place(identity, self._microphone))
        self._numbers = {
            bucket_key(name): number for number, name in enumerate(self._recognizer.names)
        }
        self._generation = turn.generation
        return True

    def _admitted(self, attempts: Attempts) -> Floats:
        """How much stricter than usually to decide about each of the recognizer's names.

        NaN: no attempt may be made on that one; LockedOutError if on nobody who is enrolled. Who
        has no bucket is like anybody else without, so that it takes no look at each of many.
        """
        names = self._recognizer.names
        apart = [self._numbers[key] for key in attempts.buckets if key in self._numbers]
        others = np.ones(len(names), dtype=bool)
        others[apart] = False
        wanted = np.full(len(names), math.nan)
        refusal: LockedOutError | None = None
        for number in sorted([*apart, *np.flatnonzero(others)[:1]]):
            where = others if others[number] else number
            try:
                attempts.check(names[number], self._idle_limit_h)
                wanted[where] = 1.0 if self._claimed else attempts.strictness(names[number])
            except LockedOutError as error:
                refusal = refusal or error
        if np.isnan(wanted).all():
            attempts.check(None)
            if refusal is not None:
                raise refusal
        return wanted

    def _charged(self, wanted: Floats) -> list[str]:
        """Whom the attempt is charged to beforehand, beside the device."""
        names = self._recognizer.names
        if len(names) > MOST_NAMED:
            return []
        return [name for name, factor in zip(names, wanted, strict=True) if not math.isnan(factor)]

    def _is_background(self, comparison: Comparison) -> bool:
        was_compared = comparison.decision.score is not None
        return self._claimed is None and was_compared and not comparison.near

    def _refuse(self, turn: Turn, refusal: LockedOutError) -> Decision:
        written = turn.attempts.at(self._now())
        if not written.refusal_logged:
            logged = msgspec.structs.replace(written, refusal_logged=True)
            turn.finish(logged, "locked out", subject=self._subject, **self._summary())
        return Decision(decision="locked out", reason=str(refusal), wait_s=refusal.wait_s)

    def _let_pass(self, turn: Turn, attempt: "_Attempt") -> Decision:
        """Keep the charge for the next utterance, or give it back if there is none."""
        self._unlogged += 1
        self._passed_s = self._now().seconds
        if not attempt.is_prepaid:
            kept = turn.attempts if self._continuous else attempt.attempts
            turn.finish(kept, BACKGROUND, utterances=self._unlogged)
            self._unlogged = 0
        if not self._continuous:
            self._held = None
        decision = attempt.comparison.decision
        return msgspec.structs.replace(decision, reason="like nobody enrolled", weakness=None)

    def _settle(self, turn: Turn, attempt: "_Attempt") -> Decision:
        """Give back what is not to be charged, and write down the decision."""
        attempts, (decision, near) = attempt.attempts, attempt.comparison
        user = decision.user
        if user is not None:
            failed_since = attempts.failed_since(user)
            decision = msgspec.structs.replace(decision, failed_since=failed_since)
            attempts = attempts.accepting(user, utc_now())
        else:
            user = self._claimed
            attempts = attempts.charge(near if user is None else [user], turn.enrolled).failing()
        turn.finish(
            attempts, decision.decision, subject=self._subject, user=user, **self._summary()
        )
        self._held = None
        return decision

    def _summary(self) -> dict[str, int]:
        """How much passed since the last line, for the next one to tell."""
        unlogged, self._unlogged = self._unlogged, 0
        return {BACKGROUND: unlogged} if unlogged else {}

    @property
    def _subject(self) -> str:
        return self._claimed or ANYONE


class _Attempt(NamedTuple):
    """A comparison that was charged for."""

    attempts: Attempts
    """The counters as they are without its charge."""
    comparison: Comparison
    is_prepaid: bool
    """Whether the charge is one that was kept."""
