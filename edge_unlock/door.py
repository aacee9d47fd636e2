"""What an acceptance sets going."""

from collections.abc import Sequence
from contextlib import ExitStack
from queue import SimpleQueue
from threading import Thread
from typing import NamedTuple

from edge_unlock.actions.action import Action, require_acceptance
from edge_unlock.closing import Closing
from edge_unlock.errors import ActionError
from edge_unlock.recognizer import Decision


class Outcome(NamedTuple):
    """What became of one action."""

    action: str
    """Its name."""
    decision: Decision
    """The acceptance that it was for."""
    error: ActionError | None
    """Why it failed, if it did."""


class Door(Closing):
    """Runs all ``actions`` of an acceptance at once, each in a thread of its own.

    From ``open`` until the last of them has ended it is busy, and opens for nobody else. Whoever
    uses it asks ``outcomes`` from time to time; that and all else is for one thread.
    """

    def __init__(self, actions: Sequence[Action]) -> None:
        self._actions = actions
        self._running: list[Thread] = []
        self._ended: SimpleQueue[Outcome] = SimpleQueue()
        self._closing = ExitStack()
        for action in actions:
            self._closing.callback(action.close)

    @property
    def is_busy(self) -> bool:
        """Whether actions run."""
        self._running = [thread for thread in self._running if thread.is_alive()]
        return bool(self._running)

    def open(self, decision: Decision) -> None:
        """Start all actions, and return at once.

        Raises ``ActionError`` for a decision that is no acceptance, and while it is busy.
        """
        require_acceptance(decision)
        if self.is_busy:
            raise ActionError("the door is open already", "Wait until its actions have ended.")
        for action in self._actions:
            thread = Thread(target=self._run, args=(action, decision), name=action.name)
            thread.start()
            self._running.append(thread)

    def outcomes(self) -> list[Outcome]:
        """What became of the actions that ended since this was asked last."""
        return [self._ended.get_nowait() for _ in range(self._ended.qsize())]

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the actions have ended, each for so long; ``outcomes`` tells the rest."""
        for thread in self._running:
            thread.join(timeout_s)

    def close(self) -> None:
        """Stop what runs, and open for nobody any more; calling it again does nothing."""
        self._closing.close()
        self.wait()

    def _run(self, action: Action, decision: Decision) -> None:
        error: ActionError | None = None
        try:
            action.run(decision)
        except ActionError as failure:
            error = failure
        except Exception as failure:  # a defect of one action: the others go on, and it is told
            error = ActionError(f"{action.name}: {type(failure).__name__}: {failure}")
        self._ended.put(Outcome(action.name, decision, error))
