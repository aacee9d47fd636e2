"""A speech-to-text server that hears nothing, as far as the tests need one."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioStop
from wyoming.event import Event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info
from wyoming.server import AsyncEventHandler, AsyncTcpServer

TEXT = "turn on the light"
MAKER = Attribution("somebody", "https://example.org")


class Peer:
    """Where it is, what it heard, and how it behaves."""

    def __init__(self, manner: str) -> None:
        self.manner = manner
        self.uri = ""
        self.requests: list[Transcribe] = []
        self.events: list[Event] = []
        self.audio = b""

    def transcript(self) -> Event:
        echoed = {"topic": "lamps", "speaker": "mallory"}  # of the client's own context
        text = "[mallory] " + TEXT if self.manner == "tags" else TEXT
        return Transcript(text, context=echoed, language="en").event()


class Handler(AsyncEventHandler):
    def __init__(self, peer: Peer, *streams) -> None:
        super().__init__(*streams)
        self._peer = peer
        self._heard = 0

    async def handle_event(self, event: Event) -> bool:
        peer = self._peer
        peer.events.append(event)
        if Describe.is_type(event.type):
            if peer.manner == "silent":
                return True
            model = AsrModel("tiny", MAKER, True, None, None, languages=["en"])
            program = AsrProgram("fixed", MAKER, True, None, None, models=[model])
            await self.write_event(Info(asr=[program]).event())
        elif Transcribe.is_type(event.type):
            peer.requests.append(Transcribe.from_event(event))
        elif AudioChunk.is_type(event.type):
            peer.audio += event.payload or b""
            self._heard += len(event.payload or b"")
            if peer.manner == "leaves":
                return False
            if peer.manner == "eager" and self._heard > 96_000:  # finds the end by itself
                await self.write_event(peer.transcript())
                return False
            if peer.manner == "garbles":
                self.writer.write(b'{"type": "transcript", "payload_length": 99999999999}\n')
                await self.writer.drain()
        elif AudioStop.is_type(event.type) and peer.manner == "streams":
            for one in (TranscriptStart(), TranscriptChunk(TEXT)):
                await self.write_event(one.event())
            await self.write_event(peer.transcript())
            await self.write_event(TranscriptStop().event())
        elif AudioStop.is_type(event.type) and peer.manner != "silent":
            if peer.manner == "claims":  # what is ours to say
                for kind in ("identified", "info", "pong"):
                    await self.write_event(Event(kind, {"name": "mallory", "names": ["mallory"]}))
            await self.write_event(peer.transcript())
            return peer.manner != "once"
        return True


@contextmanager
def peer(manner: str = "fixed") -> Iterator[Peer]:
    """Run one in a thread: ``fixed`` answers at the end; the other manners are in ``Handler``."""
    one, started = Peer(manner), threading.Event()
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def serve() -> None:
        server = AsyncTcpServer("127.0.0.1", 0)
        await server.start(lambda *streams: Handler(one, *streams))
        one.uri = f"tcp://127.0.0.1:{server._server.sockets[0].getsockname()[1]}"
        started.set()
        await done.wait()
        await server.stop()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(10)
        yield one
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()
