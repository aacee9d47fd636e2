"""Serves Wyoming clients until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Final

from edge_unlock.assistant.address import Address
from edge_unlock.assistant.connection import Connection
from edge_unlock.assistant.conversation import Conversation
from edge_unlock.assistant.request import Service
from edge_unlock.errors import AssistantError, AudioError, EdgeUnlockError

MAX_CLIENTS: Final = 8
"""A house has fewer satellites that are spoken to at once; each may keep some megabytes here.

As many more are told that they are too many; the rest is cut off."""


class Server:
    """Has a ``Conversation`` with each client."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._clients: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(MAX_CLIENTS)

    async def run(self, address: Address, ready: Callable[[str], None]) -> None:
        """Serve at ``address`` until SIGTERM or SIGINT; tell ``ready`` where that is.

        Raises ``AssistantError`` if nobody can listen there.
        """
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        listener = await address.serve(self._accept)
        try:
            ready(_uri(address, listener))
            await stopped.wait()
        finally:
            listener.close()
            address.remove()
            for client in self._clients:
                client.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client, task = Connection(reader, writer), asyncio.current_task()
        if task is None or len(self._clients) >= 2 * MAX_CLIENTS:
            await client.close()
            return
        self._clients.add(task)
        try:
            if self._free.locked():
                await client.refuse("too many clients are connected", "busy")
            else:
                async with self._free:
                    await self._converse(client)
        except asyncio.CancelledError:
            pass  # at the end of the server: nobody waits for this task
        finally:
            self._clients.discard(task)
            await client.close()

    async def _converse(self, client: Connection) -> None:
        try:
            await Conversation(client, self._service).run()
        except (AssistantError, AudioError) as error:
            await client.refuse(str(error), type(error).__name__)
        except Exception as error:  # a defect must not end the service of the others
            self._service.complain(EdgeUnlockError(f"unexpected {type(error).__name__}: {error}"))
            await client.refuse("this is a defect of edge-unlock", "defect")


def _uri(address: Address, listener: asyncio.Server) -> str:
    """Where it listens, with the port that the system has chosen where it was 0."""
    if address.path:
        return str(address)
    return str(Address(address.host, listener.sockets[0].getsockname()[1]))
