"""The MQTT broker of the settings: where it is, how one knows it, and how one gets in."""

import ssl
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge_unlock import files
from edge_unlock.config import MqttSettings
from edge_unlock.errors import ConfigError, VaultError

if TYPE_CHECKING:
    from paho.mqtt.client import Client

TLS_PORT: Final = 8883
PLAIN_PORT: Final = 1883
MAX_PASSWORD_BYTES: Final = 4096
MAX_CA_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Broker:
    """What it takes to connect. Nothing is sent to it here."""

    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    tls: ssl.SSLContext | None
    """How to know it, or None for a connection that anybody on the way may read."""

    @classmethod
    def of(cls, settings: MqttSettings) -> "Broker":
        """Read the files that the settings name.

        Raises ``ConfigError`` if one is missing, unfit or not safe from others, for a host that
        cannot be, and where paho-mqtt is not installed.
        """
        if find_spec("paho") is None:
            raise ConfigError(
                "[mqtt] needs paho-mqtt, which is not installed",
                "Install it: pip install 'edge-unlock[mqtt]'",
            )
        try:
            settings.host.encode("idna")
        except UnicodeError as error:
            raise ConfigError(
                f"{settings.host!a} in [mqtt] is no host", "Give the broker's name or address."
            ) from error
        port = settings.port or (TLS_PORT if settings.tls else PLAIN_PORT)
        return cls(settings.host, port, settings.username, _password(settings), _tls(settings))

    def client(self, client_id: str) -> "Client":
        """A client of its own for one connection, in MQTT 5."""
        from paho.mqtt.client import Client  # noqa: PLC0415  # optional
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion  # noqa: PLC0415

        client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(self.username, self.password)
        if self.tls is not None:
            client.tls_set_context(self.tls)
        return client


def _readable(path: Path, mode: str) -> str:
    return (
        f"It must be there, and the user who listens must be able to read it: chown root:GROUP "
        f"{path}, where GROUP is that of the user (the service's: edge-unlock), and chmod {mode}."
    )


def _password(settings: MqttSettings) -> str | None:
    """The password without what nobody sees around it."""
    path = settings.password_file
    if path is None:
        return None
    if settings.username is None:
        raise ConfigError("[mqtt] has a password_file but no username", "Add the username.")
    try:
        data = files.read_path(path, MAX_PASSWORD_BYTES, files.check_secret)
        return data.decode("utf-8-sig").strip()
    except VaultError as error:
        raise ConfigError(f"no password for MQTT: {error}", _readable(path, "640")) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"no password for MQTT: {path} is no text", "Write it in UTF-8."
        ) from error


def _tls(settings: MqttSettings) -> ssl.SSLContext | None:
    """How to know the broker, or None for a connection that anybody may read."""
    path = settings.ca_file
    if not settings.tls:
        if path is not None:
            raise ConfigError("[mqtt] has a ca_file but tls = false", "Remove one of them.")
        return None
    if path is None:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        data = files.read_path(path, MAX_CA_BYTES, files.check_trusted)
        context.load_verify_locations(cadata=data.decode("ascii", "replace").replace("\ufffd", "?"))
    except VaultError as error:
        raise ConfigError(
            f"no certificate authority for MQTT: {error}", _readable(path, "644")
        ) from error
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"no certificate authority for MQTT: {path} has no certificates",
            "Give a file with certificates in PEM.",
        ) from error
    return context
