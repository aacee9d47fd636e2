"""How long work tells how far it is."""

from collections.abc import Callable
from contextlib import AbstractContextManager

Progress = Callable[[int], None]
"""Is told how much was done since it was last told."""

Stage = Callable[[str, int | None], AbstractContextManager[Progress]]
"""Opens a stage of the work of so many units (None: unknown); gives what to tell progress to."""
