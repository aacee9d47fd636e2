"""Puts the attempt policy and the audit log around the recognizer: what a lock relies on."""

from collections.abc import Sequence

from edge_unlock.errors import LockedOutError
from edge_unlock.hearing import Heard
from edge_unlock.policy import ANYONE
from edge_unlock.quality import VERIFY_LIMITS, Fault, speech_seconds
from edge_unlock.recognizer import Decision, Recognizer
from edge_unlock.vault import Vault


class Gatekeeper:
    """Judges utterances and keeps the books: every judged one is an attempt.

    Utterances that cannot be judged (too short, too noisy, ...) are no attempts. While
    locked out nothing is scored at all. Any error means no unlock: it is raised.
    """

    def __init__(self, vault: Vault, recognizer: Recognizer, claimed: str | None = None) -> None:
        self._vault = vault
        self._recognizer = recognizer
        self._claimed = claimed
        self._subject = claimed or ANYONE

    def judge(self, heard: Sequence[Heard]) -> Decision:
        """Decide on what was said in one go."""
        segments = [utterance.segment for utterance in heard]
        fault = VERIFY_LIMITS.fault_of(segments)
        if any(utterance.audio_lost for utterance in heard):
            fault = Fault.AUDIO_LOST
        if fault is not None:
            return Decision.retry(fault, round(speech_seconds(segments), 2))
        try:
            self._vault.attempts.check(self._subject)
        except LockedOutError as error:
            self._vault.audit.append("locked out", subject=self._subject)
            return Decision(decision="locked out", user=self._claimed, reason=str(error))
        # charged in advance: who pulls the plug before the decision has used up an attempt
        self._vault.attempts.record_failure(self._subject)
        decision = self._recognizer.decide(segments, self._claimed)
        if decision.is_accepted:
            # recorded before the door opens: an unlock that cannot be recorded does not happen
            self._vault.attempts.record_success(self._subject)
        self._vault.audit.append(decision.decision, subject=self._subject, user=decision.user)
        return decision
