"""What happens when somebody is recognised."""

import os
import subprocess
from collections.abc import Sequence

from edge_unlock.errors import ActionError
from edge_unlock.recognizer import Decision


class Command:
    """Runs a program on an acceptance: an argument list, no shell, nothing on its stdin.

    The program finds who it was in ``EDGE_UNLOCK_USER`` and how sure it is in
    ``EDGE_UNLOCK_SCORE``.
    """

    def __init__(self, arguments: Sequence[str], timeout_s: float) -> None:
        self._arguments = list(arguments)
        self._timeout_s = timeout_s

    def run(self, decision: Decision) -> None:
        """Run the program and wait for its end.

        Raises ``ActionError`` if it cannot be started, fails or takes too long, and for a
        decision that is no acceptance.
        """
        if not decision.is_accepted:
            raise ActionError("only an acceptance may unlock", "This is a defect: report it.")
        name = self._arguments[0]
        environment = os.environ | {
            "EDGE_UNLOCK_USER": decision.user or "",
            "EDGE_UNLOCK_SCORE": f"{decision.score:.4f}",
        }
        try:
            status = subprocess.run(
                self._arguments,
                env=environment,
                stdin=subprocess.DEVNULL,
                timeout=self._timeout_s,
                check=False,
            ).returncode
        except OSError as error:
            raise ActionError(
                f"cannot run {name}: {error.strerror}", "Give the program's full path."
            ) from error
        except subprocess.TimeoutExpired as error:
            raise ActionError(
                f"{name} was stopped after {self._timeout_s:g} s",
                "Let it return sooner, or raise action_timeout_s.",
            ) from error
        if status:
            raise ActionError(f"{name} failed with status {status}", "Run it by hand to see why.")
