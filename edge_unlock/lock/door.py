"""What an acceptance sets going."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event, Thread
from typing import NamedTuple

from edge_unlock.actions.action import Action, require_acceptance
from edge_unlock.closing import Closing
from edge_unlock.errors import ActionError
from edge_unlock.scoring.recognizer import Decision


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
        self._running: list[_Run] = []
        self._ended: SimpleQueue[Outcome] = SimpleQueue()

    @property
    def is_busy(self) -> bool:
        """Whether actions run."""
        self._running = [run for run in self._running if not run.is_over]
        return bool(self._running)

    def open(self, decision: Decision) -> None:
        """Start all actions, and return at once.

        Raises ``ActionError`` for a decision that is no acceptance, and while it is busy.
        """
        require_acceptance(decision)
        if self.is_busy:
            raise ActionError("the door is open already", "Wait until its actions have ended.")
        for action in self._actions:
            run = _Run(action, decision, self._ended)
            self._running.append(run)  # before it starts: a signal may end us at any line
            run.start()

    def outcomes(self) -> list[Outcome]:
        """What became of the actions that ended since this was asked last."""
        return [self._ended.get_nowait() for _ in range(self._ended.qsize())]

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the actions have ended, each for so long; ``outcomes`` tells the rest."""
        for run in self._running:
            run.wait(timeout_s)

    def close(self) -> None:
        """Stop what runs, and open for nobody any more; calling it again does nothing.

        All actions are closed at once: a relay does not wait for a command that heeds nothing.
        """
        with ThreadPoolExecutor(max(1, len(self._actions))) as closing:
            closed = [closing.submit(action.close) for action in self._actions]
        self.wait()
        for one in closed:
            one.result()  # or it raises what went wrong


class _Run(Thread):
    """One action for one decision, whose outcome goes to ``ended``.

    Where a signal raises an exception out of ``join``, Python takes the thread for dead before 3.13
    (cpython issue 90882): hence an event of our own.
    """

    def __init__(self, action: Action, decision: Decision, ended: "SimpleQueue[Outcome]") -> None:
        super().__init__(name=action.name)
        self._action = action
        self._decision = decision
        self._ended = ended
        self._over = Event()

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or never began."""
        return self._over.is_set() or self.ident is None

    def wait(self, timeout_s: float | None) -> None:
        """Wait for its end, so long."""
        if not self.is_over:
            self._over.wait(timeout_s)

    def run(self) -> None:
        error: ActionError | None = None
        try:
            self._action.run(self._decision)
        except ActionError as failure:
            error = failure
        except Exception as failure:  # a defect of one action: the others go on, and it is told
            error = ActionError(f"{self._action.name}: {type(failure).__name__}: {failure}")
        self._ended.put(Outcome(self._action.name, self._decision, error))
        self._over.set()
