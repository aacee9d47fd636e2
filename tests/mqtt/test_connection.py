"""The connection to a real broker: TLS, password, last will, and a broker that comes and goes."""

import signal
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_unlock.config import MqttSettings
from edge_unlock.errors import ConfigError
from edge_unlock.mqtt.connection import OFFLINE, ONLINE, Connection
from tests.broker import HOST, Broker, Reader, needs_mosquitto, write_certificates
from tests.waiting import LONGEST_S, until

pytestmark = needs_mosquitto

DEVICE = "pi-1"
STATE = f"edge-unlock/{DEVICE}/state"
AVAILABILITY = f"edge-unlock/{DEVICE}/availability"


@pytest.fixture(scope="module")
def broker():
    with Broker() as broker:
        yield broker


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Nobody waits a minute for a broker that was killed."""
    monkeypatch.setattr("edge_unlock.mqtt.connection.FIRST_DELAY_S", 0.1)
    monkeypatch.setattr("edge_unlock.mqtt.connection.LONGEST_DELAY_S", 0.5)


def test_what_is_kept_is_there_for_who_comes_later_and_only_the_last_of_it(broker):
    with Connection(broker.settings(), DEVICE) as connection:
        for number in range(100):
            connection.keep(STATE, b"%d" % number)
        with Reader(broker, STATE) as reader:
            until(lambda: reader.last.get(STATE) == b"99")
        with Reader(broker, f"edge-unlock/{DEVICE}/#") as late:
            assert late.payload(STATE) == b"99" and late.payload(AVAILABILITY) == ONLINE
            assert all(message.retain for message in late.messages)


def test_what_has_not_changed_is_not_published_again(broker):
    with Reader(broker) as reader, Connection(broker.settings(), "same") as connection:
        connection.keep("edge-unlock/same/a", b"1")
        until(lambda: "edge-unlock/same/a" in reader.last)
        connection.keep("edge-unlock/same/a", b"1")
        connection.keep("edge-unlock/same/b", b"1")
        until(lambda: "edge-unlock/same/b" in reader.last)
        topics = [one.topic for one in reader.messages]
        assert topics.count("edge-unlock/same/a") == 1


def test_closing_says_that_the_device_is_gone_after_what_was_kept_last(broker):
    with Reader(broker) as reader:
        connection = Connection(broker.settings(), "leaving")
        until(lambda: connection.error is None)
        connection.keep("edge-unlock/leaving/state", b"stopping")
        connection.close()
        connection.close()
        until(lambda: reader.last.get("edge-unlock/leaving/availability") == OFFLINE)
        assert reader.last["edge-unlock/leaving/state"] == b"stopping"


PROGRAM = """
import sys, msgspec
from edge_unlock.config import MqttSettings
from edge_unlock.mqtt.connection import Connection
settings = MqttSettings(host=sys.argv[1], port=int(sys.argv[2]), tls=False)
with Connection(settings, "killed") as connection:
    connection.keep("edge-unlock/killed/state", b"here")
    sys.stdin.read()
"""


def test_the_last_will_tells_of_a_process_that_was_killed(broker):
    topic = "edge-unlock/killed/availability"
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, HOST, str(broker.port)], stdin=subprocess.PIPE
    )
    with Reader(broker) as reader:
        until(lambda: reader.last.get(topic) == ONLINE)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        until(lambda: reader.last.get(topic) == OFFLINE)
        assert reader.payload("edge-unlock/killed/state") == b"here"


def test_who_comes_back_before_he_was_missed_is_there(broker):
    """As after a network that was away: the broker still holds the old connection."""
    topic = "edge-unlock/twice/availability"
    with Reader(broker, topic) as reader, Connection(broker.settings(), "twice") as old:
        until(lambda: old.error is None)
        old._closing.set()  # it goes silent, and does not take its leave
        old._leave = lambda client: threading.Event().wait()
        with Connection(broker.settings(), "twice") as new:
            until(lambda: new.error is None)
            until(lambda: len(reader.messages) >= 3)
            assert [one.payload for one in reader.messages] == [ONLINE, OFFLINE, ONLINE]


def test_a_broker_that_was_killed_has_all_again():
    with Broker() as broker, Connection(broker.settings(), DEVICE) as connection:
        connection.keep(STATE, b"before")
        until(lambda: connection.error is None)
        for _ in range(3):
            broker.stop()
            until(lambda: connection.error is not None)
            connection.keep(STATE, b"meanwhile")
            broker.start()
            with Reader(broker) as reader:
                until(lambda: reader.last.get(STATE) == b"meanwhile")
                assert reader.payload(AVAILABILITY) == ONLINE


def test_a_broker_that_is_away_costs_no_memory_and_no_time():
    with Broker() as broker:
        settings = broker.settings()
    with Connection(settings, DEVICE) as connection:
        until(lambda: connection.error == "Connection refused")
        for number in range(10_000):
            connection.keep(STATE, b"%d" % number)
            connection.send(STATE, b"gone").give_up()
        assert len(connection._kept) == 2 and len(connection._unsent) <= 2
        assert len(connection._deliveries) <= 1


def test_nothing_is_subscribed_to_and_what_comes_does_nothing(broker):
    with Reader(broker) as reader, Connection(broker.settings(), "deaf") as connection:
        until(lambda: connection.error is None)
        reader.publish("homeassistant/status", b"online")
        reader.publish("edge-unlock/deaf/state", b"unlock")
        connection.keep("edge-unlock/deaf/state", b"here")
        until(lambda: reader.last.get("edge-unlock/deaf/state") == b"here")
        assert connection.error is None
    assert "SUBSCRIBE from edge-unlock-deaf" not in broker.log
    assert "PUBLISH to edge-unlock-deaf" not in broker.log


@pytest.mark.parametrize("password", [False, True])
def test_tls_with_an_authority_of_its_own(password):
    with (
        Broker(tls=True, password=password) as broker,
        Connection(broker.settings(), DEVICE) as connection,
        Reader(broker) as reader,
    ):
        connection.keep(STATE, b"sealed")
        assert reader.payload(STATE) == b"sealed"
        assert connection.error is None


def test_a_broker_that_the_authority_did_not_vouch_for_is_told_nothing(tmp_path):
    write_certificates(tmp_path)
    with Broker(tls=True) as broker:
        for ca_file in (tmp_path / "ca.pem", None):
            with Connection(broker.settings(ca_file=ca_file), DEVICE) as connection:
                until(lambda c=connection: "CERTIFICATE_VERIFY_FAILED" in str(c.error))
        with Connection(broker.settings(host="localhost"), DEVICE) as connection:
            until(lambda: "CERTIFICATE_VERIFY_FAILED" in str(connection.error))
        assert "CONNECT" not in broker.log.replace("CONNECTION", "")


def test_a_wrong_password_is_said(tmp_path):
    wrong = tmp_path / "wrong"
    wrong.touch(0o600)
    wrong.write_text("guess")
    with (
        Broker(password=True) as broker,
        Connection(broker.settings(password_file=wrong), DEVICE) as connection,
    ):
        until(lambda: connection.error == "the broker refuses: Not authorized")


def test_a_report_that_is_refused_is_said():
    with (
        Broker(acl="topic read #\n") as broker,
        Connection(broker.settings(), DEVICE) as connection,
    ):
        until(lambda: connection.error == "the broker refuses what is reported: Not authorized")


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_text("open")
    return path


def refused(**fields):
    with pytest.raises(ConfigError) as raised:
        Connection(MqttSettings(host="broker", **fields), DEVICE)
    assert "\n" not in str(raised.value) and raised.value.hint
    return str(raised.value)


def test_settings_that_cannot_be_used_are_refused_at_once(tmp_path, secret):
    nowhere, empty = tmp_path / "nowhere", tmp_path / "empty"
    empty.touch()
    secret.chmod(0o644)
    assert "nowhere does not exist" in refused(ca_file=nowhere)
    assert "no certificates" in refused(ca_file=empty)
    assert "no certificates" in refused(ca_file=secret)
    assert "nowhere does not exist" in refused(username="u", password_file=nowhere)
    assert "open to other users" in refused(username="u", password_file=secret)
    secret.chmod(0o600)
    assert "no username" in refused(password_file=secret)
    secret.write_bytes(b"\xff")
    assert "no text" in refused(username="u", password_file=secret)
    assert "tls = false" in refused(tls=False, ca_file=secret)
    empty.chmod(0o666)
    assert "open to other users" in refused(ca_file=empty)


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
def test_what_is_no_host_is_refused(host):
    with pytest.raises(ConfigError, match="no host"):
        Connection(MqttSettings(host=host), DEVICE)


@pytest.mark.parametrize("device", ["", "a/b", "a b", "+", "#", "é", "x" * 65, "a\n"])
def test_what_is_no_device_id_is_refused(device):
    with pytest.raises(ConfigError, match="no device id"):
        Connection(MqttSettings(host="broker"), device)


def test_without_paho_it_is_said_what_to_install(tmp_path):
    program = (
        "import sys; sys.modules['paho'] = None\n"
        "from edge_unlock.config import MqttSettings\n"
        "from edge_unlock.mqtt.connection import Connection\n"
        "Connection(MqttSettings(host='h'), 'd')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "ConfigError: [mqtt] needs paho-mqtt" in result.stderr


@settings(max_examples=25)
@given(st.binary(max_size=200))
def test_a_broker_that_sends_anything_ends_nothing(garbage):
    """Whatever answers at the port, the thread lives and connects again."""
    import socket

    with socket.create_server((HOST, 0)) as server:
        server.settimeout(LONGEST_S)
        settings = MqttSettings(host=HOST, port=server.getsockname()[1], tls=False)
        with Connection(settings, DEVICE) as connection:
            for _ in range(2):
                peer, _address = server.accept()
                with peer:
                    peer.recv(4096)
                    peer.sendall(b"\x20\x03\x00\x00\x00" + garbage)
            assert connection._thread.is_alive()
