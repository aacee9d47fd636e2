"""Waiting for what another process or thread does, and never for ever."""

import time
from collections.abc import Callable
from typing import Any

LONGEST_S = 60.0
"""A busy machine may take long; what takes longer does not come."""


def until(condition: Callable[[], Any]) -> Any:
    """Wait for something to become true, and return it; fails after ``LONGEST_S``."""
    end_s = time.monotonic() + LONGEST_S
    while not (value := condition()):
        assert time.monotonic() < end_s, "it never came"
        time.sleep(0.01)
    return value
