"""What Home Assistant is told: a device of sensors that says no score and takes no command."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_unlock.config import MqttSettings
from edge_unlock.mqtt.connection import ONLINE, Connection
from edge_unlock.service.homeassistant import MAX_CHARACTERS, HomeAssistant
from edge_unlock.service.status import Lockout, Microphone, Seen, State, Status
from tests.broker import Broker, Reader, needs_mosquitto
from tests.waiting import until

BASE = "edge-unlock/pi-1"
DISCOVERY = "homeassistant/device/pi-1/config"

# From Home Assistant 2025.1.4, homeassistant/components/mqtt/: DEVICE_DISCOVERY_SCHEMA and what it
# is made of in schemas.py, and PLATFORM_SCHEMA_MODERN of sensor.py and binary_sensor.py. Only what
# reports is left in: whatever may be commanded has a command_topic.
ENTITY_KEYS = {"platform", "unique_id", "name", "state_topic", "value_template", "device_class"}
ENTITY_KEYS |= {"entity_category", "icon", "json_attributes_topic", "json_attributes_template"}
DEVICE_KEYS = {"identifiers", "name", "manufacturer", "model", "sw_version"}
# SensorDeviceClass and BinarySensorDeviceClass
DEVICE_CLASSES = {"sensor": {None, "enum", "timestamp"}, "binary_sensor": {"problem"}}


class Kept(dict[str, bytes]):
    """Stands where a connection would, and remembers what is to be kept."""

    device_id = "pi-1"
    base = BASE
    availability = f"{BASE}/availability"

    def __init__(self) -> None:
        self.changes = 0

    def keep(self, topic: str, payload: bytes) -> None:
        self.changes += self.get(topic) != payload
        self[topic] = payload


def status(**fields: Any) -> Status:
    usual: dict[str, Any] = {
        "state": "listening",
        "version": "0.1.0",
        "model": "edge-voice-9",
        "pid": 17,
        "since": "2026-01-31T12:00:00+00:00",
        "microphone": microphone(),
    }
    return Status(**(usual | fields))


def microphone(**fields: Any) -> Microphone:
    usual = {"name": "USB", "delivers": True, "since": "2026-01-31T12:00:00+00:00"}
    return Microphone(**(usual | fields))


def lockout(reason: str) -> Lockout:
    return Lockout(reason=reason, since="2026-01-31T12:00:00+00:00", wait_s=60)


def seen(user: str | None = "Ána", decision: str = "accepted", **fields: Any) -> Seen:
    usual = {"time": "2026-01-31T12:00:01+00:00", "match": "clear match", "reason": None}
    return Seen(decision=decision, user=user, seconds=1.5, **(usual | fields))


@pytest.fixture
def broker():
    with Broker() as broker:
        yield broker


@pytest.fixture
def published(broker):
    """Told by a real broker: an observer, and a reader of all."""
    with Reader(broker) as reader, Connection(broker.settings(), "pi-1") as connection:
        until(lambda: connection.error is None)
        yield HomeAssistant(connection, broker.settings(device_name="Haustür")), reader


@needs_mosquitto
def test_who_was_recognised_is_told_and_who_was_rejected_is_not(published):
    observer, reader = published
    observer.update(status())
    assert reader.object(f"{BASE}/recognised") == {"person": None, "match": None, "time": None}
    observer.update(status(decisions=(seen(), seen("eve", "rejected", match="near miss"))))
    told = {"person": "Ána", "match": "clear match", "time": "2026-01-31T12:00:01+00:00"}
    until(lambda: reader.object(f"{BASE}/recognised") == told)
    observer.update(status(state="stopping", decisions=(seen("eve", "rejected"),) * 10))
    until(lambda: reader.object(f"{BASE}/state")["state"] == "stopping")
    assert reader.object(f"{BASE}/recognised") == told
    assert not any(b"eve" in message.payload for message in reader.messages)


@needs_mosquitto
def test_the_microphone_and_a_lockout_are_told(published):
    observer, reader = published
    lost = microphone(delivers=False, error="unplugged", losses=2, overruns=3)
    observer.update(
        status(state="no microphone", microphone=lost, lockout=lockout("wait 20 minutes"))
    )
    until(lambda: reader.last.get(f"{BASE}/state", b"").count(b"unplugged"))
    told = reader.object(f"{BASE}/state")
    assert told["state"] == "no microphone" and told["lockout"] == "wait 20 minutes"
    assert told["microphone"] == {
        "name": "USB",
        "delivers": False,
        "since": "2026-01-31T12:00:00+00:00",
        "error": "unplugged",
        "losses": 2,
        "overruns": 3,
    }


@needs_mosquitto
def test_all_of_it_is_retained_and_below_the_device(broker, published):
    observer, reader = published
    observer.update(status(decisions=(seen(),)))
    topics = {f"{BASE}/state", f"{BASE}/recognised", f"{BASE}/availability", DISCOVERY}
    until(lambda: reader.last.keys() >= topics)
    with Reader(broker) as late:
        until(lambda: late.last.keys() >= topics)
        assert late.last.keys() == topics and late.payload(f"{BASE}/availability") == ONLINE
        assert all(message.retain for message in late.messages)


def test_the_discovery_is_what_home_assistant_takes():
    kept = Kept()
    HomeAssistant(kept, MqttSettings(host="broker", device_name="Haustür")).update(status())
    device = json.loads(kept[DISCOVERY])
    assert device.keys() == {"device", "origin", "availability_topic", "qos", "components"}
    assert device["device"].keys() == DEVICE_KEYS and device["device"]["name"] == "Haustür"
    assert device["origin"] == {"name": "edge-unlock", "sw_version": "0.1.0"}
    assert device["availability_topic"] == f"{BASE}/availability"
    components = device["components"]
    assert set(components) == {"person", "match", "time", "state", "lockout", "microphone"}
    assert len({one["unique_id"] for one in components.values()}) == len(components)
    for entity in components.values():
        options = {"options"} if entity.get("device_class") == "enum" else set()
        assert {"platform", "unique_id", "name", "state_topic"} <= entity.keys()
        assert entity.keys() <= ENTITY_KEYS | options
        assert entity.get("device_class") in DEVICE_CLASSES[entity["platform"]]
        assert entity.get("entity_category") in {None, "diagnostic"}
        assert entity["state_topic"] in kept
        assert ("json_attributes_topic" in entity) == ("json_attributes_template" in entity)
    assert components["state"]["options"] == list(get_args(State))


@pytest.mark.parametrize(
    ("told", "states"),
    [
        (
            status(),
            ["None", "None", "None", "listening", "OFF", "OFF"],
        ),
        (
            status(lockout=lockout("wait"), decisions=(seen("{{ 6*7 }}"),)),
            ["{{ 6*7 }}", "clear match", "2026-01-31T12:00:01+00:00", "listening", "ON", "OFF"],
        ),
        (
            status(state="no microphone", microphone=microphone(delivers=False)),
            ["None", "None", "None", "no microphone", "OFF", "ON"],
        ),
    ],
)
def test_its_templates_say_what_is_so(told, states):
    """``None`` is an unknown state (``PAYLOAD_NONE`` in Home Assistant's mqtt/const.py)."""
    jinja2 = pytest.importorskip("jinja2")
    kept = Kept()
    HomeAssistant(kept, MqttSettings(host="broker")).update(told)
    components = json.loads(kept[DISCOVERY])["components"].values()

    def render(template: str, topic: str) -> str:
        return jinja2.Template(template).render(value_json=json.loads(kept[topic]))

    assert [render(one["value_template"], one["state_topic"]) for one in components] == states
    for one in components:
        if "json_attributes_topic" in one:
            attributes = render(one["json_attributes_template"], one["json_attributes_topic"])
            assert isinstance(json.loads(attributes), dict)


def test_what_has_not_changed_is_not_published_again():
    kept = Kept()
    observer = HomeAssistant(kept, MqttSettings(host="broker"))
    observer.update(status())
    assert kept.changes == 3
    observer.update(status(pid=18))
    observer.update(status(pid=18, decisions=(seen("eve", "rejected"),)))
    assert kept.changes == 3
    observer.update(status(decisions=(seen(),)))
    assert kept.changes == 4


ANYTHING = st.text(st.characters()) | st.text(max_size=3).map(lambda text: text * 5000)


@settings(max_examples=100)
@given(words=st.lists(ANYTHING, min_size=8, max_size=8), topic=st.sampled_from(["a", "ä/b", "/"]))
def test_whatever_names_and_reasons_hold_it_is_json_of_the_device_alone(words, topic):
    name, match, time, reason, error, model, version, label = words
    kept = Kept()
    observer = HomeAssistant(
        kept, MqttSettings(host="broker", discovery_prefix=topic, device_name=label)
    )
    observer.update(
        status(
            model=model,
            version=version,
            lockout=None if reason is None else lockout(reason),
            microphone=microphone(name=name, error=error),
            decisions=(seen(name, match=match, time=time, reason=reason),),
        )
    )
    assert kept.keys() == {f"{topic}/device/pi-1/config", f"{BASE}/state", f"{BASE}/recognised"}
    for payload in kept.values():
        assert len(payload) < 32_768
        payload.decode("ascii")
        for text in strings(json.loads(payload)):
            assert len(text) <= MAX_CHARACTERS
            text.encode()


def strings(value: Any) -> list[str]:
    """All strings of a JSON value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return [text for one in value for text in strings(one)] if isinstance(value, list) else []
