"""Reports to Home Assistant over MQTT: who was recognised last, and how the device does.

Home Assistant makes a device of it by itself (MQTT device discovery, since 2024.12:
https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload). All of it is sensors:
nothing here can be commanded, and no topic is offered that could be written to. The discovery is
retained, so that a Home Assistant that starts later finds it without being listened to.
"""

import json
from typing import Any, Final, get_args

from edge_unlock.closing import Closing
from edge_unlock.config import APP_NAME, MqttSettings
from edge_unlock.mqtt.connection import Connection
from edge_unlock.scoring.band import Band
from edge_unlock.service.status import Seen, State, Status

MAX_CHARACTERS: Final = 255
"""Home Assistant takes no longer state (``MAX_LENGTH_STATE_STATE`` in its const.py)."""


RECOGNISED: Final[dict[str, dict[str, Any]]] = {
    "person": {
        "platform": "sensor",
        "name": "Last recognised person",
        "icon": "mdi:account-voice",
        "value_template": "{{ value_json.person }}",
        "json_attributes_template": "{{ {'match': value_json.match} | tojson }}",
    },
    "match": {
        "platform": "sensor",
        "name": "Last match",
        "device_class": "enum",
        "options": [Band.CLEAR, Band.CLOSE],
        "value_template": "{{ value_json.match }}",
    },
    "time": {
        "platform": "sensor",
        "name": "Last recognised",
        "device_class": "timestamp",
        "value_template": "{{ value_json.time }}",
    },
}
STATE: Final[dict[str, dict[str, Any]]] = {
    "state": {
        "platform": "sensor",
        "name": "State",
        "device_class": "enum",
        "options": get_args(State),
        "entity_category": "diagnostic",
        "value_template": "{{ value_json.state }}",
    },
    "lockout": {
        "platform": "binary_sensor",
        "name": "Lockout",
        "device_class": "problem",
        "value_template": "{{ 'ON' if value_json.lockout else 'OFF' }}",
        "json_attributes_template": "{{ {'reason': value_json.lockout} | tojson }}",
    },
    "microphone": {
        "platform": "binary_sensor",
        "name": "Microphone",
        "device_class": "problem",
        "entity_category": "diagnostic",
        "value_template": "{{ 'OFF' if value_json.microphone.delivers else 'ON' }}",
        "json_attributes_template": "{{ value_json.microphone | tojson }}",
    },
}
"""The entities of each topic, as Home Assistant's discovery describes them."""


class HomeAssistant(Closing):
    """Publishes retained states below ``connection.base``; an `Observer`.

    ``state`` says what the program does, ``recognised`` who was accepted last since it was started,
    when, and how well the voice matched; no score, and nothing of who was rejected. The
    ``connection`` is not closed here.
    """

    def __init__(self, connection: Connection, settings: MqttSettings) -> None:
        self._connection = connection
        self._name = settings.device_name
        self._id = f"{APP_NAME}-{connection.device_id}"
        self._discovery = f"{settings.discovery_prefix}/device/{connection.device_id}/config"
        self._state = f"{connection.base}/state"
        self._recognised = f"{connection.base}/recognised"
        self._last: Seen | None = None

    def update(self, status: Status) -> None:
        """Publish what has changed; see `Observer`."""
        for seen in status.decisions:
            if seen.decision == "accepted":
                self._last = seen
        self._keep(self._discovery, self._device(status))
        self._keep(self._state, _state(status))
        self._keep(self._recognised, _recognised(self._last))

    def _keep(self, topic: str, fields: dict[str, Any]) -> None:
        self._connection.keep(topic, json.dumps(fields).encode())

    def _device(self, status: Status) -> dict[str, Any]:
        """The discovery payload: its keys are Home Assistant's."""
        components = {}
        for topic, entities in ((self._recognised, RECOGNISED), (self._state, STATE)):
            for name, fields in entities.items():
                components[name] = {
                    **fields,
                    "unique_id": f"{self._id}_{name}",
                    "state_topic": topic,
                }
                if "json_attributes_template" in fields:
                    components[name]["json_attributes_topic"] = topic
        return {
            "device": {
                "identifiers": [self._id],
                "name": _text(self._name),
                "manufacturer": APP_NAME,
                "model": _text(status.model),
                "sw_version": _text(status.version),
            },
            "origin": {"name": APP_NAME, "sw_version": _text(status.version)},
            "availability_topic": self._connection.availability,
            "qos": 1,
            "components": components,
        }


def _recognised(seen: Seen | None) -> dict[str, Any]:
    if seen is None:
        return dict.fromkeys(("person", "match", "time"))
    return {"person": _text(seen.user), "match": _text(seen.match), "time": _text(seen.time)}


def _state(status: Status) -> dict[str, Any]:
    microphone = status.microphone
    return {
        "state": status.state,
        "since": _text(status.since),
        "version": _text(status.version),
        "model": _text(status.model),
        "lockout": None if status.lockout is None else _text(status.lockout.reason),
        "microphone": {
            "name": _text(microphone.name),
            "delivers": microphone.delivers,
            "since": _text(microphone.since),
            "error": _text(microphone.error),
            "losses": microphone.losses,
            "overruns": microphone.overruns,
        },
    }


def _text(text: str | None) -> str | None:
    """What JSON can hold and Home Assistant takes."""
    return None if text is None else text.encode(errors="replace").decode()[:MAX_CHARACTERS]
