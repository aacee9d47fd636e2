"""One connection to an MQTT broker: it reports what happens here, and listens to nothing."""

import re
import threading
import time
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from socket import socket as Socket
from struct import pack
from typing import TYPE_CHECKING, Any, Final, cast

from edge_unlock.closing import Closing
from edge_unlock.config import MqttSettings
from edge_unlock.errors import ConfigError
from edge_unlock.mqtt.broker import Broker

if TYPE_CHECKING:
    from paho.mqtt.client import Client
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

ONLINE: Final = b"online"
OFFLINE: Final = b"offline"
"""What the availability topic says: what Home Assistant expects without being told."""

EXPIRY_S: Final = 10
"""A broker may keep a message that is no state for so long, for who does not get it at once."""

UNTRIED: Final = "not connected yet"
ANSWER_S: Final = 10.0
"""A broker that has not accepted the connection after so long is tried anew."""
MAX_PACKET_BYTES: Final = 64 * 1024
KEEPALIVE_S: Final = 20
"""Half as long again, and the broker notices that we are gone, or we that it is."""

FIRST_DELAY_S: Final = 1.0
LONGEST_DELAY_S: Final = 60.0
POLL_S: Final = 0.05
CLOSING_S: Final = 0.5
MAX_QUEUED: Final = 50
DEVICE_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""What Home Assistant takes as part of a topic."""

NO_SUBSCRIBERS: Final = 0x10
WITH_WILL: Final = "Disconnect with will message"
"""Reason codes of MQTT 5.0, section 2.4."""


@dataclass(eq=False)
class Delivery:
    """A message on its way to the broker. ``ended`` is set when it is known what became of it."""

    topic: str
    payload: bytes
    ended: threading.Event = field(default_factory=threading.Event)
    is_acknowledged: bool = False
    refusal: str | None = None
    """Why the broker did not take it, if it said so."""

    def give_up(self) -> None:
        """Wait no longer: what was not acknowledged by now is not sent later either."""
        self.ended.set()


class Connection(Closing):
    """Keeps a connection to the broker in a thread of its own, which nobody has to wait for.

    A broker that is away is no error: it is tried again, after ``FIRST_DELAY_S`` at first and
    ``LONGEST_DELAY_S`` at last, and ``error`` says meanwhile why. Of each topic that is kept only
    the last message is remembered, and published anew over every connection; nothing else outlives
    one. Nothing is subscribed to, and what a broker sends all the same is dropped.

    ``base`` is the topic below which this device publishes; ``availability`` is the one that says
    whether it is there: by a last will, if it is no longer. ``device_id`` must stay the same.

    Raises:
        ConfigError: the settings cannot be used, or paho-mqtt is not installed.
    """

    def __init__(self, settings: MqttSettings, device_id: str) -> None:
        if not DEVICE_ID.fullmatch(device_id):
            raise ConfigError(
                f"{device_id!a} is no device id for MQTT",
                "Use up to 64 letters, digits, '-' and '_'.",
            )
        self.device_id = device_id
        self.base = f"{settings.topic}/{device_id}"
        self.availability = f"{self.base}/availability"
        self.error: str | None = UNTRIED
        self._broker = Broker.of(settings)
        self.name = f"{self._broker.host}:{self._broker.port}"
        self._lock = threading.Lock()
        self._kept = {self.availability: ONLINE}
        self._unsent: dict[str, bytes] = {}
        self._deliveries: list[Delivery] = []
        self._in_flight: dict[int, Delivery | None] = {}
        self._is_connected = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="mqtt", daemon=True)
        self._thread.start()

    def keep(self, topic: str, payload: bytes) -> None:
        """Publish a retained message, now or as soon as the broker is there. Returns at once.

        What is kept under ``topic`` already is not published again.
        """
        with self._lock:
            if self._kept.get(topic) != payload:
                self._kept[topic] = self._unsent[topic] = payload

    def send(self, topic: str, payload: bytes) -> Delivery:
        """Publish a message that is not retained, and worth nothing later. Returns at once.

        Whoever sends it has to ``give_up`` after a while.
        """
        delivery = Delivery(topic, payload)
        with self._lock:
            waiting = [one for one in self._deliveries if not one.ended.is_set()]
            self._deliveries = [*waiting, delivery]
        return delivery

    def close(self) -> None:
        """Have the broker say that this device is gone; calling it again does nothing."""
        self._closing.set()
        self._thread.join(CLOSING_S)

    def _serve(self) -> None:
        """Connect again and again."""
        delay_s = FIRST_DELAY_S
        while not self._closing.is_set():
            start_s = time.monotonic()
            try:
                self._converse()
            except OSError as error:
                self.error = error.strerror or str(error)
            except Exception as error:  # paho-mqtt < 2.2 raises anything for a malformed packet
                self.error = f"the broker's words make no sense: {type(error).__name__}"
            if time.monotonic() - start_s > LONGEST_DELAY_S:
                delay_s = FIRST_DELAY_S
            self._closing.wait(delay_s)
            delay_s = min(2 * delay_s, LONGEST_DELAY_S)

    def _converse(self) -> None:
        """Connect and publish until it is closed; raises OSError when the connection is lost."""
        client = self._new_client()
        client.connect(
            self._broker.host, self._broker.port, KEEPALIVE_S, properties=_small_answers()
        )
        deadline_s = time.monotonic() + ANSWER_S
        socket = cast(Socket, client.socket())
        # However the connection ends, the kernel must not go on sending what was given up.
        socket.setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 1, 0))
        try:
            while not self._closing.is_set():
                _loop(client)
                if not self._is_connected and time.monotonic() >= deadline_s:
                    raise TimeoutError("it does not answer as an MQTT broker does")
                self._publish(client)
            socket.setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 0, 0))
            self._leave(client)
        finally:
            self._is_connected = False
            for delivery in self._in_flight.values():
                if delivery is not None:
                    delivery.refusal = "the connection was lost"
                    delivery.ended.set()
            self._in_flight.clear()
            socket.close()

    def _new_client(self) -> "Client":
        """A client for one connection: what it did not get through must not be sent later."""
        # The id is always the same: where the broker has not noticed yet that the last connection
        # was lost, its last will is published before this one is accepted, and not after.
        client = self._broker.client(f"edge-unlock-{self.device_id}")
        client.will_set(self.availability, OFFLINE, qos=1, retain=True)
        client.max_queued_messages_set(MAX_QUEUED)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    def _publish(self, client: "Client") -> None:
        """Publish what is new; raises OSError if something was given up on the way."""
        if not self._is_connected:
            return
        if any(one is not None and one.ended.is_set() for one in self._in_flight.values()):
            raise ConnectionAbortedError("the broker did not acknowledge a message")
        with self._lock:
            kept, self._unsent = self._unsent, {}
            deliveries, self._deliveries = self._deliveries, []
        for topic, payload in kept.items():
            self._put(client, topic, payload, None)
        for delivery in deliveries:
            if not delivery.ended.is_set():
                self._put(client, delivery.topic, delivery.payload, delivery)

    def _put(self, client: "Client", topic: str, payload: bytes, sent: Delivery | None) -> None:
        from paho.mqtt.packettypes import PacketTypes  # noqa: PLC0415  # optional
        from paho.mqtt.properties import Properties  # noqa: PLC0415  # optional

        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if sent is not None:
            properties.MessageExpiryInterval = EXPIRY_S
        message = client.publish(topic, payload, 1, retain=sent is None, properties=properties)
        self._in_flight[message.mid] = sent
        if message.rc:
            raise ConnectionAbortedError("the broker takes no messages")

    def _leave(self, client: "Client") -> None:
        """Publish what is new, and let the broker publish the last will."""
        from paho.mqtt.packettypes import PacketTypes  # noqa: PLC0415  # optional
        from paho.mqtt.reasoncodes import ReasonCode  # noqa: PLC0415  # optional

        self._publish(client)
        client.disconnect(ReasonCode(PacketTypes.DISCONNECT, WITH_WILL))
        while client.socket() is not None:
            _loop(client)

    def _on_connect(
        self, _client: "Client", _data: Any, _flags: Any, code: "ReasonCode", _: "Properties | None"
    ) -> None:
        if code.is_failure:
            raise ConnectionRefusedError(f"the broker refuses: {code}")
        self.error = None
        self._is_connected = True
        with self._lock:
            self._unsent = dict(self._kept)

    def _on_disconnect(
        self, _client: "Client", _data: Any, _flags: Any, code: "ReasonCode", _: "Properties | None"
    ) -> None:
        if not self._closing.is_set():
            raise ConnectionResetError(f"the connection was lost: {code}")

    def _on_publish(
        self, _client: "Client", _data: Any, mid: int, code: "ReasonCode", _: "Properties | None"
    ) -> None:
        delivery = self._in_flight.pop(mid, None)
        if delivery is None:
            if code.is_failure:
                self.error = f"the broker refuses what is reported: {code}"
            return
        if code.is_failure or code.value == NO_SUBSCRIBERS:
            delivery.refusal = str(code)
        delivery.is_acknowledged = delivery.refusal is None
        delivery.ended.set()


def _small_answers() -> "Properties":
    """What the broker is asked for: nothing is subscribed to, so it has nothing long to say."""
    from paho.mqtt.packettypes import PacketTypes  # noqa: PLC0415  # optional
    from paho.mqtt.properties import Properties  # noqa: PLC0415  # optional

    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = MAX_PACKET_BYTES
    return properties


def _loop(client: "Client") -> None:
    code = client.loop(POLL_S)
    if code:
        raise ConnectionResetError(f"the connection was lost: {code.name}")
