"""The message of an acceptance: once, in time, and acknowledged by a real broker, or an error."""

import json
import os
import signal
import threading
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_unlock.actions import Publish
from edge_unlock.errors import ActionError
from edge_unlock.mqtt.connection import EXPIRY_S, Connection
from edge_unlock.scoring.recognizer import Decision
from tests.broker import Broker, Reader, needs_mosquitto
from tests.waiting import until

pytestmark = needs_mosquitto

ACCEPTED = Decision(decision="accepted", user="Ána", score=0.7, threshold=0.5)
TOPIC = "house/door"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Nobody waits a minute for a broker that was killed."""
    monkeypatch.setattr("edge_unlock.mqtt.connection.FIRST_DELAY_S", 0.1)
    monkeypatch.setattr("edge_unlock.mqtt.connection.LONGEST_DELAY_S", 0.5)


@pytest.fixture(scope="module")
def broker():
    with Broker() as broker:
        yield broker


@pytest.fixture
def connection(broker):
    with Connection(broker.settings(), "pi") as connection:
        until(lambda: connection.error is None)
        yield connection


def test_it_says_who_and_when_and_nothing_of_the_score(broker, connection):
    with Reader(broker, TOPIC) as reader, Publish(connection, TOPIC) as action:
        action.run(ACCEPTED)
        said = reader.object(TOPIC)
        assert said.keys() == {"user", "time"} and said["user"] == "Ána"
        then = datetime.fromisoformat(said["time"])
        assert then.utcoffset() == UTC.utcoffset(None)
        assert abs((datetime.now(UTC) - then).total_seconds()) < 60
        (message,) = reader.messages
        assert not message.retain and message.qos == 1
        assert 0 < message.properties.MessageExpiryInterval <= EXPIRY_S
    with Reader(broker, TOPIC, "end") as late:
        late.publish("end", b"")
        until(lambda: "end" in late.last)
        assert TOPIC not in late.last  # it was not retained


def test_it_sends_the_message_that_it_was_given(broker, connection):
    with Reader(broker, TOPIC) as reader:
        Publish(connection, TOPIC, "☂ open").run(ACCEPTED)
        assert reader.payload(TOPIC) == "☂ open".encode()


@pytest.mark.parametrize("decision", ["rejected", "retry", "locked out"])
def test_nothing_is_sent_but_on_an_acceptance(broker, connection, decision):
    action = Publish(connection, TOPIC)
    with Reader(broker, TOPIC) as reader:
        with pytest.raises(ActionError, match="only an acceptance"):
            action.run(Decision(decision=decision, user="anna", score=0.9))
        Publish(connection, TOPIC, "marker").run(ACCEPTED)
        until(lambda: reader.messages)
        assert [one.payload for one in reader.messages] == [b"marker"]


def test_nobody_to_open_is_an_error(connection):
    with pytest.raises(ActionError, match="nobody/listens: No matching subscribers"):
        Publish(connection, "nobody/listens").run(ACCEPTED)


def test_a_broker_that_refuses_is_an_error():
    acl = "topic read #\ntopic write edge-unlock/#\n"
    with Broker(acl=acl) as broker, Connection(broker.settings(), "pi") as connection:
        with pytest.raises(ActionError, match=f"{TOPIC}: Not authorized"):
            Publish(connection, TOPIC).run(ACCEPTED)
        assert connection.error is None


def test_a_broker_that_is_away_gets_nothing_when_it_comes_back(monkeypatch):
    monkeypatch.setattr("edge_unlock.actions.publish.ACKNOWLEDGED_S", 0.3)
    for name in ("FIRST_DELAY_S", "LONGEST_DELAY_S"):  # the reader is there before the connection
        monkeypatch.setattr(f"edge_unlock.mqtt.connection.{name}", 2)
    with Broker() as broker:
        broker.stop()
        with Connection(broker.settings(), "pi") as connection:
            with pytest.raises(ActionError, match="door: Connection refused") as raised:
                Publish(connection, TOPIC).run(ACCEPTED)
            assert raised.value.hint
            broker.start()
            with Reader(broker, "#") as reader:
                until(lambda: connection.error is None)
                connection.keep("marker", b"")
                until(lambda: "marker" in reader.last)
                assert TOPIC not in reader.last


def test_what_hung_on_the_way_is_not_sent_again(monkeypatch):
    """A broker that stood still may find it in its socket; over the new connection it gets none."""
    monkeypatch.setattr("edge_unlock.actions.publish.ACKNOWLEDGED_S", 0.5)
    with (
        Broker() as broker,
        Connection(broker.settings(), "pi") as connection,
        Reader(broker, "#") as reader,
    ):
        until(lambda: connection.error is None)
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            with pytest.raises(ActionError, match=r"within 0\.5 s") as raised:
                Publish(connection, TOPIC).run(ACCEPTED)
            assert raised.value.outcome == "timed out"
            until(lambda: connection.error is not None)
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        until(lambda: connection.error is None)
        Publish(connection, "marker", "").run(ACCEPTED)
        until(lambda: "marker" in reader.last)
        sent = [one for one in reader.messages if one.topic == TOPIC]
        assert len(sent) <= 1


def test_closing_ends_it_at_once_and_for_good(monkeypatch):
    monkeypatch.setattr("edge_unlock.actions.publish.ACKNOWLEDGED_S", 600)
    with Broker() as broker:
        settings = broker.settings()
    errors = []

    def run():
        try:
            action.run(ACCEPTED)
        except ActionError as error:
            errors.append(error)

    with Connection(settings, "pi") as connection, Publish(connection, TOPIC) as action:
        thread = threading.Thread(target=run)
        thread.start()
        until(lambda: connection._deliveries)
        start_s = time.monotonic()
        action.close()
        thread.join()
        assert time.monotonic() - start_s < 60
        run()
    assert [error.outcome for error in errors] == ["stopped", "stopped"]


@settings(max_examples=25)
@given(name=st.text() | st.text(st.characters(categories=["Cs", "Cc", "Lo"]), min_size=1))
def test_any_name_makes_json(shared, name):
    reader, connection = shared
    reader.last.clear()
    Publish(connection, TOPIC).run(Decision(decision="accepted", user=name))
    until(lambda: TOPIC in reader.last)
    assert json.loads(reader.last[TOPIC])["user"] == name
    assert {one.topic for one in reader.messages} == {TOPIC}


@pytest.fixture(scope="module")
def shared(broker):
    with Reader(broker, "house/#") as reader, Connection(broker.settings(), "fuzz") as connection:
        until(lambda: connection.error is None)
        yield reader, connection
