"""What every action offers."""

from types import TracebackType
from typing import Protocol, Self

from edge_unlock.errors import ActionError
from edge_unlock.scoring.recognizer import Decision


class Action(Protocol):
    """Does one thing on an acceptance; a context manager. ``name`` is what the log calls it."""

    name: str

    def run(self, decision: Decision) -> None:
        """Do it, and return when it is over. It is called in a thread of its own, one at a time.

        Raises ``ActionError`` if it fails, and for a decision that is no acceptance.
        """

    def close(self) -> None:
        """End at once what ``run`` may be doing in another thread, and leave nothing open.

        Calling it again does nothing; ``run`` raises ``ActionError`` from then on.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


def require_acceptance(decision: Decision) -> None:
    """Raise ActionError for a decision that must not unlock."""
    if not decision.is_accepted:
        raise ActionError("only an acceptance may unlock", "This is a defect: report it.")
