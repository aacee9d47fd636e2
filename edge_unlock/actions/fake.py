"""An action that remembers, for tests of whatever acts."""

import threading

from edge_unlock.actions.action import require_acceptance
from edge_unlock.closing import Closing
from edge_unlock.errors import ActionError
from edge_unlock.scoring.recognizer import Decision


class Fake(Closing):
    """Takes ``lasts_s`` for each decision, or until it is closed; raises ``error`` if it has one.

    ``done`` are the decisions that it was run for.
    """

    def __init__(
        self, name: str = "fake", *, lasts_s: float = 0.0, error: ActionError | None = None
    ) -> None:
        self.name = name
        self.done: list[Decision] = []
        self._lasts_s = lasts_s
        self._error = error
        self._closed = threading.Event()

    def run(self, decision: Decision) -> None:
        """Remember the decision; see `Action.run`."""
        require_acceptance(decision)
        self.done.append(decision)
        if self._closed.wait(self._lasts_s):
            raise ActionError(f"{self.name} was stopped", outcome="stopped")
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End what is running."""
        self._closed.set()
