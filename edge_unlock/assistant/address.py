"""Where a Wyoming server is."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from edge_unlock.assistant.connection import MAX_HEADER_BYTES, Connection
from edge_unlock.errors import AssistantError, ConfigError

CONNECT_S: Final = 3.0
"""A server in the house has accepted by then, or is away."""

SOCKET_MODE: Final = 0o660
"""A Unix socket is for this user, and for those whom the administrator put into the group."""

Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Address:
    """``tcp://HOST:PORT`` or ``unix://PATH``."""

    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, uri: str) -> Address:
        """Take a URI apart; raises ``ConfigError`` for any other kind."""
        with suppress(ValueError):  # of a port that is no number, or brackets that do not match
            parts = urlsplit(uri)
            if parts.scheme == "tcp" and parts.hostname and parts.port is not None:
                return cls(parts.hostname, parts.port)
            if parts.scheme == "unix" and not parts.netloc and parts.path and "\0" not in uri:
                return cls("", 0, parts.path)
        raise ConfigError(
            f"{uri!a} is no address of a Wyoming server",
            "Write tcp://HOST:PORT or unix:///PATH.",
        )

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        return f"tcp://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine's users can connect."""
        if self.path or self.host == "localhost":
            return True
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return False

    async def connect(self) -> Connection:
        """Connect to the server there; raises ``AssistantError`` if it does not answer."""
        try:
            async with asyncio.timeout(CONNECT_S):
                if self.path:
                    streams = await asyncio.open_unix_connection(self.path, limit=MAX_HEADER_BYTES)
                else:
                    streams = await asyncio.open_connection(
                        self.host, self.port, limit=MAX_HEADER_BYTES
                    )
        except (OSError, UnicodeError) as error:  # UnicodeError: a host that is no name
            reason = getattr(error, "strerror", None) or "no answer"
            raise AssistantError(f"cannot connect to {self}: {reason}", "Is it running?") from error
        return Connection(*streams)

    async def serve(self, accept: Accept) -> asyncio.Server:
        """Listen there; raises ``AssistantError`` if that cannot be."""
        try:
            if self.path:
                return await asyncio.start_unix_server(
                    accept, sock=await self._bound(), limit=MAX_HEADER_BYTES
                )
            return await asyncio.start_server(accept, self.host, self.port, limit=MAX_HEADER_BYTES)
        except (OSError, UnicodeError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise AssistantError(
                f"cannot listen on {self}: {reason}", "Is it running already? Else choose another."
            ) from error

    async def _bound(self) -> socket.socket:
        """A socket at ``path``; what is left of a server that was killed is removed."""
        with suppress(AssistantError):
            await (await self.connect()).close()
            raise FileExistsError(0, "another server listens there")
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(Path(self.path).lstat().st_mode):
                Path(self.path).unlink()
        bound = socket.socket(socket.AF_UNIX)
        before = os.umask(0o777 & ~SOCKET_MODE)
        try:
            bound.bind(self.path)
        except BaseException:
            bound.close()
            raise
        finally:
            os.umask(before)
        return bound

    def remove(self) -> None:
        """Remove the socket of a server that has ended."""
        if self.path:
            Path(self.path).unlink(missing_ok=True)
