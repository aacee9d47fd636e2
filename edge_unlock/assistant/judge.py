"""The one thread in which all clients' audio is heard and judged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from edge_unlock.lock.gatekeeper import Gatekeeper
    from edge_unlock.lock.hearing import Heard
    from edge_unlock.scoring.recognizer import Decision

END_S: Final = 0.5
"""So long is waited for what is being judged when the server is to end, within a second."""

P = ParamSpec("P")
T = TypeVar("T")


class Judge:
    """Runs what is asked of it one after the other: the encoder keeps a state, the vault a turn.

    Whoever waits for each answer before he asks again has one thing queued at most.
    """

    def __init__(self, gatekeeper: Gatekeeper) -> None:
        self._gatekeeper = gatekeeper
        self._thread = ThreadPoolExecutor(1, "judge")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function there."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: function(*args, **kwargs))

    async def decide(self, heard: Sequence[Heard]) -> Decision:
        """Judge what was said in one go; raises what ``Gatekeeper.judge`` does."""
        return await self.run(self._gatekeeper.judge, heard)

    async def close(self) -> bool:
        """Give back what the gatekeeper keeps; False if that cannot be done in time."""
        try:
            async with asyncio.timeout(END_S):
                await self.run(self._gatekeeper.close)
        except TimeoutError:
            return False
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)
        return True
