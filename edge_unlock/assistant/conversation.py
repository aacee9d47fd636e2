"""What is said between one client, this server and, for a transcript, a speech-to-text server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from edge_unlock.assistant.answer import asked_for, with_identity
from edge_unlock.assistant.request import Request, Service
from edge_unlock.errors import AssistantError

if TYPE_CHECKING:
    from wyoming.event import Event

    from edge_unlock.assistant.connection import Connection

IDLE_S: Final = 30.0
"""A client that says nothing for so long is gone, or has forgotten us."""

ANSWER_S: Final = 60.0
"""A speech-to-text server on a slow machine takes longer than the sentence itself."""

DESCRIBE_S: Final = 5.0


class Conversation:
    """Answers one client until it leaves, errs or says nothing for too long."""

    def __init__(self, client: Connection, service: Service) -> None:
        self._client = client
        self._service = service
        self._request: Request | None = None
        self._reading: dict[Connection, asyncio.Task[Event | None]] = {}

    async def run(self) -> None:
        """Converse; raises ``EdgeUnlockError`` for what the client did, or cannot be done."""
        try:
            while True:
                side, event = await self._next()
                if self._request is not None and side is self._request.asr:
                    await self._take_from_asr(self._request, event)
                elif event is None:
                    return
                else:
                    await self._take(event)
        finally:
            await self._end_request()
            await self._stop_reading(self._client)

    async def _next(self) -> tuple[Connection, Event | None]:
        """The next event of whichever side sends one first; None if that side has closed."""
        request, sides, timeout_s = self._request, [self._client], IDLE_S
        if request is not None and request.asr is not None:
            sides.insert(0, request.asr)  # whose transcript ends what the client says
        if request is not None and not request.is_answered:
            timeout_s = min(ANSWER_S if request.is_spoken else IDLE_S, request.left_s)
        for side in sides:
            if side not in self._reading:
                self._reading[side] = asyncio.create_task(side.read())
        await asyncio.wait(
            self._reading.values(), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        for side in sides:
            if self._reading[side].done():
                return side, self._reading.pop(side).result()
        raise AssistantError("nothing came for too long")

    async def _take(self, event: Event) -> None:
        from wyoming.event import Event

        match event.type:
            case "describe":
                await self._client.write(Event("info", await self._info()))
            case "ping":
                await self._client.write(Event("pong", event.data))
            case "identify":
                await self._end_request()
                self._request = Request(self._service, names=asked_for(event.data))
            case "enroll" | "delete":
                raise AssistantError("people are enrolled and removed by the command edge-unlock")
            case "audio-start":
                request = self._request
                if request is None or not request.is_fresh:
                    request = await self._new_request()
                await request.forward(event)
                await request.begin(event)
            case "audio-chunk":
                await (self._request or await self._new_request()).hear(event)
            case "audio-stop":
                await self._answer(event)
            case _:
                await self._pass_on(event)

    async def _answer(self, event: Event) -> None:
        request = self._request
        if request is None or request.is_answered:
            return
        await request.forward(event)
        request.is_spoken = True
        speaker = await request.identify()
        if request.asr is None:
            await self._client.write(speaker.identity())
            request.is_answered = True

    async def _pass_on(self, event: Event) -> None:
        """What is neither audio nor ours begins a transcript, as ``transcribe`` does."""
        if self._service.asr is not None:
            request = self._request
            if request is None or request.asr is None or not request.is_fresh:
                request = await self._new_request()
            await request.forward(event)
        elif event.type == "transcribe":
            raise AssistantError(
                "no transcripts are offered here", "Start this server with --asr-uri."
            )

    async def _take_from_asr(self, request: Request, event: Event | None) -> None:
        if event is None:
            if not request.is_answered:
                raise AssistantError(f"the server at {self._service.asr} gave no transcript")
            await self._hang_up(request)  # the client may still be sending, and is not answered
        elif event.type == "transcript":
            speaker = await request.identify()
            await self._client.write(speaker.transcript(event, tag=self._service.tag))
            request.is_answered = True
        elif event.type == "error":
            await self._client.write(event)
            request.is_answered = True
        # Nothing else: who speaks is for us to say, and the transcript has all that its parts have.

    async def _info(self) -> dict[str, Any]:
        """What is offered: this, and what the speech-to-text server offers."""
        from wyoming.event import Event

        address, program = self._service.asr, self._service.program
        if address is None:
            return with_identity({}, program)
        asr = await address.connect()
        try:
            async with asyncio.timeout(DESCRIBE_S):
                await asr.write(Event("describe"))
                while (event := await asr.read()) is not None:
                    if event.type == "info":
                        return with_identity(event.data, program)
        except TimeoutError:
            pass
        finally:
            await asr.close()
        raise AssistantError(f"the server at {address} does not say what it offers")

    async def _new_request(self) -> Request:
        await self._end_request()
        address = self._service.asr
        asr = None if address is None else await address.connect()
        self._request = Request(self._service, asr)
        return self._request

    async def _end_request(self) -> None:
        request, self._request = self._request, None
        if request is not None:
            await self._hang_up(request)

    async def _hang_up(self, request: Request) -> None:
        asr, request.asr = request.asr, None
        if asr is not None:
            await self._stop_reading(asr)
            await asr.close()

    async def _stop_reading(self, side: Connection) -> None:
        reading = self._reading.pop(side, None)
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
