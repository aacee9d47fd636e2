"""A private MQTT broker: Debian's mosquitto on a free port, which the test starts and stops."""

import json
import shutil
import socket
import subprocess
import tempfile
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge_unlock.config import MqttSettings
from tests.waiting import LONGEST_S, until

HOST = "127.0.0.1"
USER, PASSWORD = "lock", "an open secret"

needs_mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto", path="/usr/sbin:/usr/bin") is None,
    reason="needs mosquitto (deploy/setup.sh dev)",
)


class Broker:
    """``with Broker() as broker``; ``settings()`` are those of a client.

    With ``tls`` it has a certificate of an authority of its own (``ca_file``), with ``password``
    it asks for ``USER`` and ``PASSWORD``; ``acl`` are lines that say who may do what. Nothing is
    kept on disk: a broker that is killed has forgotten everything.
    """

    def __init__(self, *, tls: bool = False, password: bool = False, acl: str = "") -> None:
        self._tls = tls
        self._with_password = password
        self._acl = acl

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self.port = _free_port()
            self.ca_file = self.home / "ca.pem"
            self.password_file = self.home / "password"
            self._write_config()
            self.start()
            stack.callback(self.stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def start(self) -> None:
        """Start the broker, also after a ``stop``."""
        with (self.home / "log").open("ab") as log:
            self._server = subprocess.Popen(
                ["/usr/sbin/mosquitto", "-c", str(self.home / "mosquitto.conf"), "-v"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(self._is_up)

    def stop(self) -> None:
        """Kill the broker, as if its machine had lost power."""
        self._server.kill()
        self._server.wait()

    @property
    def pid(self) -> int:
        return self._server.pid

    @property
    def log(self) -> str:
        """What it said, each packet included."""
        return (self.home / "log").read_text(errors="replace")

    def settings(self, **others: Any) -> MqttSettings:
        """How to get in."""
        fields: dict[str, Any] = {"host": HOST, "port": self.port, "tls": self._tls}
        if self._tls:
            fields["ca_file"] = self.ca_file
        if self._with_password:
            fields |= {"username": USER, "password_file": self.password_file}
        return MqttSettings(**(fields | others))

    def _is_up(self) -> bool:
        assert self._server.poll() is None, self.log
        with closing(socket.socket()) as probe:
            return probe.connect_ex((HOST, self.port)) == 0

    def _write_config(self) -> None:
        lines = [f"listener {self.port} {HOST}", "persistence false", "log_dest stdout"]
        lines += ["user root", f"allow_anonymous {str(not self._with_password).lower()}"]
        if self._tls:
            write_certificates(self.home)
            lines += [f"certfile {self.home}/cert.pem", f"keyfile {self.home}/key.pem"]
        if self._with_password:
            self.password_file.touch(0o600)
            self.password_file.write_text(PASSWORD + "\n")
            hashed = self.home / "hashed"
            subprocess.run(
                ["mosquitto_passwd", "-b", "-c", str(hashed), USER, PASSWORD], check=True
            )
            hashed.chmod(0o600)
            lines.append(f"password_file {hashed}")
        if self._acl:
            (self.home / "acl").write_text(self._acl)
            (self.home / "acl").chmod(0o600)
            lines.append(f"acl_file {self.home}/acl")
        (self.home / "mosquitto.conf").write_text("\n".join(lines) + "\n")


class Reader:
    """``with Reader(broker) as reader``: a client that reads all that is published.

    ``messages`` are what came, oldest first; ``last`` maps a topic to its last payload.
    """

    def __init__(self, broker: Broker, *topics: str) -> None:
        self.messages: list[paho.MQTTMessage] = []
        self.last: dict[str, bytes] = {}
        settings = broker.settings()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        if settings.ca_file is not None:
            self._client.tls_set(str(settings.ca_file))
        if settings.username is not None:
            self._client.username_pw_set(USER, PASSWORD)
        self._topics = topics or ("#",)
        self._subscribed = False
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect_async(HOST, broker.port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        until(lambda: self._subscribed)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish something, and wait until the broker has it."""
        self._client.publish(topic, payload, 1, retain).wait_for_publish(LONGEST_S)

    def payload(self, topic: str) -> bytes:
        """Wait for something under this topic."""
        until(lambda: topic in self.last)
        return self.last[topic]

    def object(self, topic: str) -> Any:
        """Wait for a JSON text under this topic."""
        return json.loads(self.payload(topic))

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        client.subscribe([(topic, 1) for topic in self._topics])

    def _on_subscribe(self, *_: Any) -> None:
        self._subscribed = True

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self.messages.append(message)
        self.last[message.topic] = message.payload


def write_certificates(directory: Path, name: str = HOST) -> None:
    """Write an authority, ``ca.pem``, and a server's ``cert.pem`` and ``key.pem`` for ``name``."""
    authority, key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test broker")])
    usual = x509.CertificateBuilder().issuer_name(issuer)
    day = timedelta(days=1)
    usual = usual.not_valid_before(datetime.now(UTC) - day).not_valid_after(datetime.now(UTC) + day)
    own = (
        usual.subject_name(issuer)
        .serial_number(1)
        .public_key(authority.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority, hashes.SHA256())
    )
    server = (
        usual.subject_name(subject)
        .serial_number(2)
        .public_key(key.public_key())
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))]), critical=False
        )
        .sign(authority, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "ca.pem").write_bytes(own.public_bytes(pem))
    (directory / "cert.pem").write_bytes(server.public_bytes(pem))
    (directory / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
