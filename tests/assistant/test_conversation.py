"""What is waited for, and for how long: at a server in this process, whose patience is short."""

import asyncio

import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event

from edge_unlock.assistant import conversation, request
from edge_unlock.assistant.address import Address
from edge_unlock.assistant.connection import Connection
from edge_unlock.assistant.conversation import Conversation
from edge_unlock.assistant.judge import Judge
from edge_unlock.assistant.request import Service
from edge_unlock.errors import AssistantError
from edge_unlock.scoring.recognizer import Decision
from tests.assistant.peer import peer

FORM = {"rate": 16_000, "width": 2, "channels": 1}
PATIENCE_S = 60


class Nobody:
    """Judges as a gatekeeper where nobody is enrolled."""

    def __init__(self):
        self.judged = 0

    def judge(self, heard):
        self.judged += 1
        return Decision(decision="rejected", reason="nobody is enrolled")

    def close(self):
        pass


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(conversation, "IDLE_S", 0.3)
    monkeypatch.setattr(conversation, "ANSWER_S", 0.3)
    monkeypatch.setattr(conversation, "DESCRIBE_S", 0.3)


def converse(talk, asr=None):
    """Have ``talk`` with a conversation; returns how that ended, and how often was judged."""

    async def both():
        gatekeeper = Nobody()
        judge = Judge(gatekeeper)
        address = None if asr is None else Address.parse(asr)
        service = Service(judge=judge, program={}, asr=address, tag=False, complain=print)
        ended = asyncio.get_running_loop().create_future()

        async def accept(*streams):
            mine = Connection(*streams)
            try:
                await Conversation(mine, service).run()
                ended.set_result(None)
            except AssistantError as error:
                ended.set_result(error)
            finally:
                await mine.close()

        listener = await Address.parse("tcp://127.0.0.1:0").serve(accept)
        port = listener.sockets[0].getsockname()[1]
        client = await Address.parse(f"tcp://127.0.0.1:{port}").connect()
        talking = asyncio.create_task(talk(client))
        try:
            return await asyncio.wait_for(ended, PATIENCE_S), gatekeeper.judged
        finally:
            talking.cancel()
            await client.close()
            listener.close()
            assert await judge.close()

    return asyncio.run(both())


async def send(client, *events):
    for event in events:
        await client.write(event)


START = AudioStart(**FORM).event()
CHUNK = AudioChunk(audio=bytes(640), **FORM).event()


def test_silent_clients_are_given_up_and_not_judged():
    for events in ([], [START], [START, CHUNK], [Event("identify")]):
        error, judged = converse(lambda client, events=events: send(client, *events))
        assert "too long" in str(error)
        assert judged == 0


def test_an_event_that_never_ends_is_given_up():
    async def talk(client):
        client._writer.write(b'{"type": "ping", "data_length": 100}\n{')

    assert "too long" in str(converse(talk)[0])


def test_a_client_that_drips_is_given_up(monkeypatch):
    monkeypatch.setattr(request, "REQUEST_S", 1.0)

    async def talk(client):
        while True:
            await client.write(CHUNK)
            await asyncio.sleep(0.1)

    error, judged = converse(talk)
    assert "too long" in str(error)
    assert judged == 0


def test_a_server_that_never_answers_is_given_up():
    with peer("silent") as asr:
        for events in (
            [Transcribe().event(), START, CHUNK, AudioStop().event()],
            [Event("describe")],
        ):
            error, _ = converse(lambda client, events=events: send(client, *events), asr.uri)
            assert isinstance(error, AssistantError)


def test_who_leaves_is_not_waited_for():
    async def talk(client):
        await send(client, START, CHUNK)
        await client.close()

    assert converse(talk) == (None, 0)
