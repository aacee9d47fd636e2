"""A connection that carries Wyoming events of limited size.

The reader of the package ``wyoming`` takes whatever lengths a header claims, and fails in many ways
at data of other types than expected: what arrives is read here, what leaves is written by it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from edge_unlock.errors import AssistantError

if TYPE_CHECKING:
    from wyoming.event import Event

MAX_HEADER_BYTES: Final = 64 * 1024
MAX_DATA_BYTES: Final = 256 * 1024
"""The longest events list models: 50 KiB where a server has ten for a hundred languages."""
MAX_PAYLOAD_BYTES: Final = 1024 * 1024
"""A chunk of audio is some kilobytes."""

WRITE_S: Final = 10.0
"""Whoever takes no bytes for so long has hung."""

LINGER_S: Final = 2.0
"""How long a refused client may go on sending: cut off, it would not read why."""

FLUSH_S: Final = 0.1


class _Header(msgspec.Struct):
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    data: dict[str, Any] | None = None
    data_length: Annotated[int, msgspec.Meta(ge=0, le=MAX_DATA_BYTES)] | None = None
    payload_length: Annotated[int, msgspec.Meta(ge=0, le=MAX_PAYLOAD_BYTES)] | None = None


class Connection:
    """Reads and writes events; the reader's limit is ``MAX_HEADER_BYTES``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> Event | None:
        """Wait for the next event; None at the end, also if that is within an event.

        Raises ``AssistantError`` for what is no event, or too large a one.
        """
        try:
            return await self._read()
        except (asyncio.IncompleteReadError, OSError):
            return None
        # ValueError: a line that is too long, or no UTF-8
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise AssistantError(f"this is no Wyoming event: {error}") from error

    async def _read(self) -> Event | None:
        from wyoming.event import Event

        line = await self._reader.readline()
        if not line:
            return None
        header = msgspec.json.decode(line, type=_Header)
        data = header.data or {}
        if header.data_length:
            more = await self._reader.readexactly(header.data_length)
            data |= msgspec.json.decode(more, type=dict[str, Any])
        payload = None
        if header.payload_length:
            payload = await self._reader.readexactly(header.payload_length)
        return Event(header.type, data, payload)

    async def write(self, event: Event) -> None:
        """Send an event; raises ``AssistantError`` if the other side is gone, or hangs."""
        from wyoming.event import async_write_event

        try:
            async with asyncio.timeout(WRITE_S):
                await async_write_event(event, self._writer)
        except OSError as error:  # also TimeoutError
            raise AssistantError("the connection is broken") from error
        # of data that can be read from JSON, but not written: half a surrogate pair
        except (ValueError, RecursionError) as error:
            raise AssistantError(f"this event cannot be passed on: {error}") from error

    async def refuse(self, text: str, code: str) -> None:
        """Say why it is over, and wait a moment for the other side to hear it."""
        from wyoming.error import Error

        with suppress(AssistantError, OSError):
            await self.write(Error(text, code).event())
            self._writer.write_eof()
            async with asyncio.timeout(LINGER_S):
                while await self._reader.read(MAX_HEADER_BYTES):
                    pass

    async def close(self) -> None:
        """Close it; what the other side does not take is dropped. Again, do nothing."""
        self._writer.close()
        try:
            async with asyncio.timeout(FLUSH_S):
                await self._writer.wait_closed()
        except OSError:  # also TimeoutError
            self._writer.transport.abort()
