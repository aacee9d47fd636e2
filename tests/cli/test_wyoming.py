"""The server as a process, spoken to by the client of the package ``wyoming``."""

import asyncio
import json
import shutil
import socket
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping

from edge_unlock.assistant.server import MAX_CLIENTS
from tests.assistant.peer import TEXT, peer
from tests.cli.conftest import Installation, assert_error

LOCAL = "tcp://127.0.0.1:0"
CHUNK_FRAMES = 1024
PATIENCE_S = 60
ANSWERS = ("identified", "not-identified", "transcript", "error")
FORM = {"rate": 16_000, "width": 2, "channels": 1}
IDENTIFY = Event("identify")
OWNER = Event("identified", {"name": "alice", "context": {"match": "clear match"}})


class Running:
    """A server process, and where it serves."""

    def __init__(self, process) -> None:
        self.process = process
        self.notes = []
        self.uri = ""
        for line in process.stderr:
            text = line.decode()
            if text.startswith("Serving at "):
                self.uri = text.split()[2].rstrip(";")
                break
            self.notes.append(text)
        assert self.uri, self.notes

    def ask(self, *events, answers=ANSWERS):
        """Send events on one connection, and return the first of these answers."""
        return asyncio.run(self._ask(events, answers))

    async def _ask(self, events, answers):
        client = AsyncClient.from_uri(self.uri, PATIENCE_S, PATIENCE_S)
        await client.connect()
        try:
            return await ask(client, *events, answers=answers)
        finally:
            with suppress(ConnectionError):  # what was refused was not read to its end
                await client.disconnect()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", int(self.uri.rpartition(":")[2])), PATIENCE_S)

    def send(self, data: bytes) -> bytes:
        """Send bytes as they are; return all that is answered until the server closes."""
        received = b""
        with self.connect() as raw, suppress(ConnectionError):
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
            while part := raw.recv(65536):
                received += part
        return received

    def memory_kb(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()

    def stop(self) -> str:
        """Ask it to end; returns what it had to say since it began to serve."""
        self.process.terminate()
        with self.process.stderr:
            said = self.process.stderr.read().decode()
        assert self.process.wait(PATIENCE_S) == 0
        return said


async def ask(client, *events, answers=ANSWERS):
    with suppress(ConnectionError):  # refused in the middle; the reason can still be read
        for event in events:
            await client.write_event(event)
    while (answer := await client.read_event()) is not None:
        if answer.type in answers:
            return answer
    return None


def running(installation, *options, uri=LOCAL) -> Running:
    return Running(installation.start("wyoming", "--uri", uri, *options))


def spoken(path: Path, rate=16_000, width=2, channels=1, *, stop=True) -> list[Event]:
    """The events of a recording, in any format that the protocol has."""
    samples, rate_hz = soundfile.read(path, dtype="float32")
    samples = soxr.resample(samples, rate_hz, rate)
    scale = 2 ** (8 * width - 1)
    whole = np.clip(np.round(samples.astype(float) * scale), -scale, scale - 1).astype("<i8")
    if width == 1:
        whole += 128
    data = np.repeat(whole, channels).view(np.uint8).reshape(-1, 8)[:, :width].tobytes()
    return audio(data, {"rate": rate, "width": width, "channels": channels}, stop=stop)


def audio(data: bytes, form=FORM, *, stop=True) -> list[Event]:
    size = CHUNK_FRAMES * form["width"] * form["channels"]
    pieces = (data[i : i + size] for i in range(0, len(data), size))
    chunks = [AudioChunk(audio=piece, **form).event() for piece in pieces]
    return [AudioStart(**form).event(), *chunks, *([AudioStop().event()] if stop else [])]


@pytest.fixture(scope="module")
def household(tmp_path_factory, people):
    """Alice is enrolled; tests leave it as it is."""
    installation = Installation(tmp_path_factory.mktemp("household"))
    assert installation.run("init").exit_code == 0
    assert installation.enroll("alice", people["alice"][:4]).exit_code == 0
    return installation


@pytest.fixture
def copied(household, tmp_path):
    """A copy of the household, to be spoilt."""
    shutil.copytree(household.home.parent, tmp_path, dirs_exist_ok=True)
    return Installation(tmp_path)


@pytest.fixture(scope="module")
def served(household):
    with running(household) as started:
        yield started


@pytest.fixture(scope="module")
def owner(people):
    return spoken(people["alice"][4])


@pytest.fixture(scope="module")
def stranger(people):
    return spoken(people["bob"][4])


@pytest.mark.parametrize(
    ("rate", "width", "channels"),
    [(16_000, 2, 1), (44_100, 2, 2), (48_000, 3, 1), (22_050, 4, 2), (16_000, 1, 1)],
)
def test_who_spoke_is_told_in_every_format(served, people, rate, width, channels):
    events = spoken(people["alice"][4], rate, width, channels)
    assert served.ask(IDENTIFY, *events) == OWNER


def test_audio_alone_is_a_question(served, owner):
    assert served.ask(*owner) == OWNER


def test_a_stranger_is_nobody_and_no_score_is_told(served, stranger):
    answer = served.ask(IDENTIFY, *stranger)
    assert answer.type == "not-identified"
    assert answer.data == {"context": {"match": "no match", "reason": "like nobody enrolled"}}


def test_silence_is_nobody(served):
    answer = served.ask(IDENTIFY, *audio(bytes(64_000)))
    assert answer == Event("not-identified", {"context": {"reason": "no voice found"}})
    assert served.ask(IDENTIFY, AudioStop().event()) == answer


@pytest.mark.parametrize(
    ("names", "kind"),
    [(["bob"], "not-identified"), (["bob", "alice"], "identified"), (7, "not-identified")],
)
def test_only_those_asked_for_are_told(served, owner, names, kind):
    answer = served.ask(Event("identify", {"names": names}), *owner)
    assert answer.type == kind
    assert ("alice" in str(answer)) == (kind == "identified")


def test_one_connection_may_ask_again(served, owner, stranger):
    async def converse():
        async with AsyncClient.from_uri(served.uri, PATIENCE_S, PATIENCE_S) as client:
            return [(await ask(client, *events)).type for events in (owner, stranger, owner)]

    assert asyncio.run(converse()) == ["identified", "not-identified", "identified"]


def test_clients_at_once_get_their_own_answers(served, owner, stranger):
    async def ask_one(events):
        async with AsyncClient.from_uri(served.uri, PATIENCE_S, PATIENCE_S) as client:
            return (await ask(client, *events)).type

    async def ask_all():
        return await asyncio.gather(*(ask_one(events) for events in (owner, stranger) * 3))

    assert asyncio.run(ask_all()) == ["identified", "not-identified"] * 3


def test_what_is_offered_is_told_but_not_who_is_enrolled(served):
    info = served.ask(Describe().event(), answers=("info",))
    (program,) = info.data["identity"]
    assert program["installed"]
    assert program["models"][0]["name"]
    assert "alice" not in json.dumps(info.data)
    assert Info.from_event(info).asr == []
    assert served.ask(Ping("hello").event(), answers=("pong",)).data == {"text": "hello"}


def test_a_transcript_is_not_offered_without_a_server_for_it(served):
    assert served.ask(Transcribe().event()).type == "error"


@pytest.mark.parametrize("kind", ["enroll", "delete"])
def test_nobody_is_enrolled_or_removed_from_outside(served, household, owner, kind):
    before = household.state().keys()
    assert served.ask(Event(kind, {"name": "mallory"}), *owner).type == "error"
    assert household.state().keys() == before


@pytest.mark.parametrize(
    "form",
    [
        {"rate": 1, "width": 2, "channels": 1},
        {"rate": 10**30, "width": 2, "channels": 1},
        {"rate": -16_000, "width": 2, "channels": 1},
        {"rate": float("nan"), "width": 2, "channels": 1},
        {"rate": "16000", "width": 2, "channels": 1},
        {"rate": 16_000, "width": 0, "channels": 1},
        {"rate": 16_000, "width": 8, "channels": 1},
        {"rate": 16_000, "width": 2, "channels": 0},
        {"rate": 16_000, "width": 2, "channels": 100_000},
        {"rate": 16_000, "width": 2},
        {},
    ],
)
def test_audio_of_an_impossible_format_is_refused(served, form):
    assert served.ask(Event("audio-start", form)).type == "error"
    assert served.ask(Event("audio-chunk", form, b"\0" * 64)).type == "error"


def test_a_format_that_changes_is_refused(served, owner):
    changed = AudioChunk(rate=48_000, width=2, channels=1, audio=bytes(64)).event()
    assert served.ask(*owner[:20], changed).type == "error"


def test_an_endless_utterance_is_refused(served):
    answer = served.ask(*audio(bytes(2 * 16_000 * 61)))
    assert answer.type == "error"
    assert "60 s" in answer.data["text"]


def test_a_client_that_leaves_is_not_judged(copied, owner):
    before = copied.run("audit", "show", "--json").stdout
    with running(copied) as started:
        assert started.send(b"".join(map(encoded, owner[:-1]))) == b""
        assert started.ask(Ping().event(), answers=("pong",))
    assert copied.run("audit", "show", "--json").stdout == before


def test_every_decision_is_in_the_log(copied, owner, stranger):
    before = copied.run("audit", "show", "--json").stdout
    with running(copied) as started:
        assert started.ask(*owner) == OWNER
        assert started.ask(*stranger).type == "not-identified"
    log = copied.run("audit", "show", "--json").stdout.removeprefix(before)
    assert "accepted" in log
    assert "background" in log
    assert copied.run("audit", "verify").exit_code == 0


def test_who_is_locked_out_is_nobody(copied, people, owner):
    for _ in range(5):
        copied.run("verify", "alice", "--input", people["bob"][4])
    with running(copied) as started:
        answer = started.ask(*owner)
        assert answer == Event("not-identified", {"context": {"reason": "locked out"}})
        copied.run("enable")
        assert started.ask(*owner) == OWNER


def test_a_broken_vault_names_nobody_and_tells_only_the_operator(copied, owner):
    with (
        peer() as asr,
        running(copied) as started,
        running(copied, "--asr-uri", asr.uri) as transcribing,
    ):
        for path in copied.home.rglob("*"):
            if path.is_file():
                path.write_bytes(b"x" + path.read_bytes()[1:])
        answer = started.ask(*owner)
        transcript = transcribing.ask(Transcribe().event(), *owner)
        said = [started.stop(), transcribing.stop()]
    assert answer.type == "error"
    assert str(copied.home) not in str(answer)
    assert transcript.data["text"] == TEXT
    assert transcript.data["speaker"] is None
    assert transcript.data["context"]["reason"] == "cannot be decided"
    for text in said:
        assert "error:" in text
        assert "Traceback" not in text


def test_a_transcript_says_who_spoke(household, people, owner, stranger):
    with peer() as asr, running(household, "--asr-uri", asr.uri) as started:
        request = Transcribe(language="en", context={"speaker": "mallory"}).event()
        transcript = started.ask(request, *owner)
        nobody = started.ask(request, *stranger)
        assert started.ask(IDENTIFY, *owner) == OWNER
    assert transcript.data == {
        "text": TEXT,
        "language": "en",
        "speaker": "alice",
        "context": {
            "topic": "lamps",
            "speaker": "alice",
            "match": "clear match",
            "reason": None,
        },
    }
    assert nobody.data["text"] == TEXT
    assert nobody.data["speaker"] is nobody.data["context"]["speaker"] is None
    assert [one.language for one in asr.requests] == ["en", "en"]
    heard = b"".join(event.payload for event in (*owner, *stranger) if event.payload)
    assert asr.audio == heard


def test_the_text_can_begin_with_the_name_and_nobody_can_say_it(household, owner, stranger):
    with peer("tags") as asr, running(household, "--tag", "--asr-uri", asr.uri) as started:
        assert started.ask(Transcribe().event(), *owner).data["text"] == f"[alice] {TEXT}"
        assert started.ask(Transcribe().event(), *stranger).data["text"] == TEXT


@pytest.mark.parametrize("manner", ["once", "streams", "eager"])
def test_servers_answer_in_other_manners(household, owner, manner):
    async def converse(uri):
        async with AsyncClient.from_uri(uri, PATIENCE_S, PATIENCE_S) as client:
            return [await ask(client, Transcribe().event(), *owner) for _ in range(2)]

    with peer(manner) as asr, running(household, "--asr-uri", asr.uri) as started:
        answers = asyncio.run(converse(started.uri))
    assert [(one.data["text"], one.data["speaker"]) for one in answers] == [(TEXT, "alice")] * 2


def test_a_server_cannot_say_who_spoke(household, stranger):
    with peer("claims") as asr, running(household, "--asr-uri", asr.uri) as started:
        answer = started.ask(Transcribe().event(), *stranger)
    assert answer.type == "transcript" and answer.data["speaker"] is None


def test_the_servers_offer_is_passed_on(household):
    with peer() as asr, running(household, "--asr-uri", asr.uri) as started:
        info = started.ask(Describe().event(), answers=("info",))
    (program,) = Info.from_event(info).asr
    assert program.models[0].name == "tiny"
    assert len(info.data["identity"]) == 1


@pytest.mark.parametrize("manner", ["leaves", "garbles"])
def test_a_server_that_fails_is_told(household, owner, manner):
    with peer(manner) as asr, running(household, "--asr-uri", asr.uri) as started:
        assert started.ask(Transcribe().event(), *owner).type == "error"
        assert started.ask(IDENTIFY, *owner) == OWNER


def test_a_server_that_is_away_is_told(household, owner):
    with running(household, "--asr-uri", "tcp://127.0.0.1:1") as started:
        assert started.ask(Transcribe().event(), *owner).type == "error"
        assert started.ask(Describe().event(), answers=("info", "error")).type == "error"
        assert started.ask(IDENTIFY, *owner) == OWNER


def test_more_clients_than_a_house_has_are_refused(served):
    idle = [served.connect() for _ in range(MAX_CLIENTS)]
    answer = eventually(lambda: served.ask(Ping().event(), answers=("pong", "error")), "error")
    assert answer.data["code"] == "busy"
    more = [served.connect() for _ in range(4 * MAX_CLIENTS)]
    for one in idle + more:
        one.close()
    eventually(lambda: served.ask(Ping().event(), answers=("pong", "error")), "pong")


def eventually(ask_again, kind):
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        with suppress(ConnectionError):
            answer = ask_again()
            if answer is not None and answer.type == kind:
                return answer
    raise AssertionError(f"never got {kind}")


def encoded(event: Event) -> bytes:
    data = json.dumps(event.data).encode()
    header = {"type": event.type, "data_length": len(data)}
    header["payload_length"] = len(event.payload or b"")
    return json.dumps(header).encode() + b"\n" + data + (event.payload or b"")


HOSTILE = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)
KINDS = st.sampled_from(
    ["describe", "identify", "transcribe", "audio-start", "audio-chunk", "audio-stop", "ping"]
) | st.text(max_size=20)
FORMS = st.dictionaries(
    st.sampled_from(["rate", "width", "channels", "names", "context", "text"]),
    ANYTHING | st.sampled_from([1, 2, 16_000, 48_000]),
)
LENGTHS = st.integers(-(2**70), 2**70) | st.sampled_from([None, 0, 1, 2**20, 2**20 + 1, 1.5, "9"])


def alive(started: Running) -> bool:
    return started.ask(Ping("you").event(), answers=("pong",)).data == {"text": "you"}


@HOSTILE
@given(data=st.binary(max_size=200) | st.binary(max_size=99).map(lambda tail: b'{"type":"' + tail))
def test_bytes_that_are_no_events_do_no_harm(served, data):
    answer = served.send(data)
    assert b"alice" not in answer
    assert b"defect" not in answer
    assert alive(served)


@HOSTILE
@given(
    headers=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "type": KINDS | ANYTHING,
                "data": FORMS | ANYTHING,
                "data_length": LENGTHS,
                "payload_length": LENGTHS,
            },
        ),
        max_size=4,
    ),
    tail=st.binary(max_size=64),
)
def test_headers_that_claim_anything_do_no_harm(served, headers, tail):
    lines = b"".join(json.dumps(header).encode() + b"\n" for header in headers)
    answer = served.send(lines + tail)
    assert b"alice" not in answer
    assert b"defect" not in answer
    assert alive(served)


@HOSTILE
@given(
    events=st.lists(
        st.builds(Event, KINDS, FORMS | st.just(FORM), st.none() | st.binary(max_size=300)),
        max_size=8,
    )
)
def test_events_in_any_order_do_no_harm(served, events):
    answer = served.send(b"".join(map(encoded, events)))
    assert b"alice" not in answer
    assert b"defect" not in answer
    assert alive(served)


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 10_000_000,
        b'{"type":"' + b"x" * 10_000_000,
        b'{"type":"ping","data":' + b"[" * 60_000 + b"\n",
        b'{"type":"ping","data_length":262144}\n' + b"[" * 262_144,
        b'{"type":"ping","data_length":262145}\n' + b"[" * 262_145,
        b'{"type":"audio-chunk","payload_length":1099511627776}\n' + b"x" * 20_000_000,
        b'{"type":"ping","data":{"text":"\\ud800"}}\n',
        b'{"type":"ping","data":{"text":' + b"9" * 50_000 + b"}}\n",
        b'{"type":"ping","data":{"text":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}}\n",
    ],
)
def test_lengths_are_limited(served, data):
    assert served.send(data).count(b"defect") == 0
    assert alive(served)


def test_neither_memory_nor_descriptors_grow(served, owner):
    hostile = [
        b'{"type":"audio-chunk","payload_length":1048576}\n' + b"x" * 1_000_000,
        b"".join(map(encoded, owner[:60])),
        b"\xff" * 200_000,
        encoded(AudioStart(**FORM).event()) + b'{"type":"audio-',
    ]
    for data in hostile:
        served.send(data)
    before = served.memory_kb(), served.descriptors()
    for _ in range(20):
        for data in hostile:
            served.send(data)
    eventually(lambda: served.ask(Ping().event(), answers=("pong",)), "pong")
    assert served.memory_kb() < before[0] + 20_000
    assert served.descriptors() <= before[1] + 1


def test_it_ends_when_told_to_even_while_it_judges(household, people):
    speech = b"".join(event.payload or b"" for event in spoken(people["alice"][3]))
    speech = (speech * 60)[: 2 * 16_000 * 59]
    with (
        running(household) as started,
        started.connect() as unfinished,
        started.connect() as judged,
    ):
        unfinished.sendall(b'{"type":')
        judged.sendall(b"".join(map(encoded, audio(speech))))
        time.sleep(1)  # whatever it does then, it has to end
        assert "Traceback" not in started.stop()
    assert household.run("verify", "alice", "--input", people["alice"][4]).exit_code == 0


def test_a_unix_socket_is_for_user_and_group_and_leaves_nothing(household, owner, tmp_path):
    path = tmp_path / "socket"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()  # of a server that was killed
    with running(household, uri=f"unix://{path}") as started:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert started.ask(*owner) == OWNER
        second = household.run("wyoming", "--uri", f"unix://{path}")
        assert_error(second, 1, "another server")
        assert started.ask(*owner) == OWNER
    assert not path.exists()


def test_a_file_is_not_taken_for_a_socket(household, tmp_path):
    path = tmp_path / "file"
    path.write_text("precious")
    assert_error(household.run("wyoming", "--uri", f"unix://{path}"), 1, str(path))
    assert path.read_text() == "precious"


def test_a_port_in_use_is_told(household, served):
    assert_error(household.run("wyoming", "--uri", served.uri), 1, "in use")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "tcp://127.0.0.1",
        "tcp://:10320",
        "tcp://x:99999",
        "tcp://[::1:1",
        "http://x:1",
        "stdio://",
        "unix://",
    ],
)
def test_an_address_that_is_none_is_told(household, uri):
    for option in ("--uri", "--asr-uri"):
        assert_error(household.run("wyoming", option, uri), 1, "no address", ascii(uri))


def test_others_are_warned_of(household):
    with running(household, uri="tcp://0.0.0.0:0") as started:
        assert len(started.notes) == 1
        assert started.notes[0].startswith("warning: ")
    with running(household, uri="tcp://localhost:0") as started:
        assert started.notes == []


def test_the_file_of_settings_is_heeded_and_options_come_first(copied, owner):
    with peer("tags") as asr:
        (copied.home / "config.toml").write_text(
            f'[wyoming]\nuri = "{LOCAL}"\nasr_uri = "{asr.uri}"\ntag = true\n'
        )
        with Running(copied.start("wyoming")) as started:
            assert started.ask(Transcribe().event(), *owner).data["text"] == f"[alice] {TEXT}"
        with running(copied, "--no-tag") as started:
            assert started.ask(Transcribe().event(), *owner).data["text"] == f"[mallory] {TEXT}"


def test_without_the_package_it_says_what_to_install(household, monkeypatch):
    monkeypatch.setitem(sys.modules, "wyoming", None)  # as where it cannot be imported
    assert_error(household.run("wyoming"), 1, "not installed")


def test_an_operating_point_that_is_unknown_is_told(household):
    assert_error(household.run("wyoming", "--operating-point", "loose"), 1, "loose")
