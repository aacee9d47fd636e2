"""An action that sends a message to the MQTT broker."""

import json
import threading
from typing import Final

from edge_unlock.actions.action import require_acceptance
from edge_unlock.closing import Closing
from edge_unlock.errors import ActionError
from edge_unlock.mqtt.connection import Connection, Delivery
from edge_unlock.scoring.recognizer import Decision
from edge_unlock.vault.record import utc_now

ACKNOWLEDGED_S: Final = 5.0
"""A broker that did not take a message after so long will not get it any more."""


class Publish(Closing):
    """Sends a message to ``topic`` on an acceptance: ``message``, or a JSON object without.

    That says the ``user`` and the ``time`` (ISO 8601, UTC). The message is sent once, is not
    retained, and expires: nobody who was away gets it later. Only what had reached the broker's
    machine when it stood still is passed on as that goes on.

    The ``connection`` is not closed here, for others report over it.
    """

    name = "mqtt"

    def __init__(self, connection: Connection, topic: str, message: str | None = None) -> None:
        self._connection = connection
        self._topic = topic
        self._message = message
        self._lock = threading.Lock()  # nothing is sent once it is closed
        self._delivery: Delivery | None = None
        self._closed = False

    def run(self, decision: Decision) -> None:
        """Send the message, and wait until the broker has it.

        Raises ``ActionError`` if it did not take it within ``ACKNOWLEDGED_S``, refused it, or has
        nobody to give it to, and for a decision that is no acceptance.
        """
        require_acceptance(decision)
        payload = self._message
        if payload is None:
            payload = json.dumps({"user": decision.user, "time": utc_now()})
        with self._lock:
            if self._closed:
                raise ActionError(f"nothing is sent to {self._topic} any more", outcome="stopped")
            self._delivery = delivery = self._connection.send(self._topic, payload.encode())
        delivery.ended.wait(ACKNOWLEDGED_S)
        delivery.give_up()
        if delivery.is_acknowledged:
            return
        if self._closed:
            raise ActionError(f"the message to {self._topic} was stopped", outcome="stopped")
        reason = delivery.refusal or self._connection.error
        if reason:
            raise ActionError(
                f"no message to {self._topic}: {reason}", "See to the broker of [mqtt]."
            )
        raise ActionError(
            f"the broker took no message to {self._topic} within {ACKNOWLEDGED_S:g} s",
            "See to the broker of [mqtt].",
            outcome="timed out",
        )

    def close(self) -> None:
        """Wait for nothing any more, and send nothing from now on."""
        with self._lock:
            self._closed = True
        if self._delivery is not None:
            self._delivery.give_up()
