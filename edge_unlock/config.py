"""Settings of one installation: one file in TOML, all of it optional.

It is ``config.toml`` in the state directory, unless another one is named.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
from platformdirs import user_config_path, user_data_path

from edge_unlock import files
from edge_unlock.errors import ConfigError, VaultError, VaultMissingError
from edge_unlock.toml_error import line_of, words_of

APP_NAME = "edge-unlock"
CONFIG_NAME = "config.toml"
MAX_CONFIG_BYTES = 16 * 1024
MAX_DEVICE = 9999
PositiveSeconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Hours = Annotated[float, msgspec.Meta(gt=0, le=87_600)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1024, pattern=r"^[^\0]*$")]
Topic = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=256,
        pattern=r"^(?!\$)[^\x00-\x1f\x7f-\x9f+#\ufdd0-\ufdef\ufffe\uffff]*\Z",
    ),
]
"""Where MQTT may publish to: no wildcards, nothing of the broker's own (MQTT 5.0, section 4.7), and
no character for which a broker may close the connection (section 1.5.4)."""


class CommandSettings(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="command"
):
    """A program that an acceptance runs."""

    arguments: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=100)]
    """The program and what it gets; no shell takes it apart."""
    timeout_s: PositiveSeconds | None = None
    """How long it may run; ``action_timeout_s`` without."""


class RelaySettings(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="relay"
):
    """A GPIO output that an acceptance switches on for a while."""

    pin: Annotated[int, msgspec.Meta(ge=0, le=53)]
    """Number of the GPIO line, as Broadcom counts them (GPIO17 is 17)."""
    active_high: bool = True
    """Whether the relay is on when the line is high."""
    pulse_s: Annotated[float, msgspec.Meta(ge=0.05, le=60)] = 3.0
    """How long it stays on, at most."""


class PublishSettings(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="mqtt"
):
    """A message that an acceptance sends to the broker of ``[mqtt]``."""

    topic: Topic
    message: Annotated[str, msgspec.Meta(max_length=1024)] | None = None
    """What is sent; a JSON object with the person's name without."""


ActionSettings = CommandSettings | RelaySettings | PublishSettings


class MqttSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The broker that is told what happens here. It is never listened to."""

    host: Text
    port: Port | None = None
    """8883 with TLS, 1883 without."""
    tls: bool = True
    ca_file: Path | None = None
    """Who vouches for the broker (PEM); the system's authorities without."""
    username: Text | None = None
    password_file: Path | None = None
    """The password, in a file that nobody else may read."""
    topic: Topic = APP_NAME
    """Everything of this device is published below it."""
    discovery_prefix: Topic = "homeassistant"
    """Where Home Assistant looks for devices."""
    device_name: Text = "Voice unlock"


class WyomingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The Wyoming server that tells assistants who speaks."""

    uri: Text = "tcp://127.0.0.1:10320"
    """Where it is offered: tcp://ADDRESS:PORT or unix://PATH."""
    asr_uri: Text | None = None
    """A speech-to-text server whose transcripts get the speaker's name."""
    tag: bool = False
    """Whether the text of a transcript begins with the name: ``[alice] turn on the light``."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the file may say; options of the command line come first."""

    device: str | Annotated[int, msgspec.Meta(ge=0, le=MAX_DEVICE)] | None = None
    """Microphone: a part of its name, or its index; the system's default without."""
    model: Path | None = None
    """Directory of a model package; the one that ships without."""
    trusted_key: Path | None = None
    """Ed25519 public key (PEM): only packages signed with its private half are loaded, and a new
    vault accepts what it signed without asking."""
    far: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    """The false-accept rate to decide at where nothing else says; the model's default without."""
    keyfile: Path | None = None
    """The key of a vault with a key file; ``default_keyfile`` without. ``{vault}`` in it stands
    for the vault's id."""
    idle_limit_hours: Hours | None = None
    """After so long without an acceptance a person's voice alone no longer suffices; off without.

    Hours that the device was up; ``edge-unlock enable NAME`` begins them anew."""
    action_timeout_s: PositiveSeconds = 30.0
    """How long an unlock command may run."""
    actions: Annotated[tuple[ActionSettings, ...], msgspec.Meta(max_length=16)] = ()
    """What an acceptance by ``listen`` does, all at once: tables ``[[actions]]``, each with its
    ``type``: command, relay or mqtt."""
    refractory_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 2.0
    """After an acceptance and its actions nothing that is said within so long is judged."""
    early: bool = False
    """Whether ``listen`` accepts who is still speaking, as soon as the match is clear."""
    mqtt: MqttSettings | None = None
    wyoming: WyomingSettings | None = None

    def __post_init__(self) -> None:
        if self.mqtt is None and any(isinstance(one, PublishSettings) for one in self.actions):
            raise ValueError("an action of type mqtt needs a broker, in a table [mqtt]")
        pins = [one.pin for one in self.actions if isinstance(one, RelaySettings)]
        if len(pins) != len(set(pins)):
            raise ValueError("two relays cannot share a pin")

    @classmethod
    def load(cls, path: Path, *, must_exist: bool = False) -> "Settings":
        """Read the file at ``path``; defaults where there is none and none ``must_exist``.

        Raises ``ConfigError`` for a file that is not TOML, or says what is not known, or that
        others than root and this user may have written: it can weaken a decision.
        """
        try:
            data = files.read_path(path, MAX_CONFIG_BYTES, files.check_trusted)
        except VaultMissingError as error:
            if must_exist:
                raise ConfigError(f"there is no {path}", "Give another one.") from error
            return cls()
        except VaultError as error:
            raise ConfigError(str(error), error.hint) from error
        try:
            return msgspec.toml.decode(data, type=cls, dec_hook=_convert)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            line = line_of(data, error)
            where = path if line is None else f"{path}, line {line}"
            what = "nested too deeply" if isinstance(error, RecursionError) else words_of(error)
            raise ConfigError(
                f"{where}: {what}", "Correct it; deploy/config.toml shows what each setting may be."
            ) from error


def _convert(wanted: type, value: Any) -> Any:
    """Make a path of a string; msgspec knows no paths."""
    if wanted is Path and isinstance(value, str) and value and "\0" not in value:
        with _home_known():
            return Path(value).expanduser()
    raise ValueError(f"expected a {wanted.__name__}")


def default_home() -> Path:
    """The state directory of a personal install (XDG data directory)."""
    with _home_known():
        return user_data_path(APP_NAME)


def default_keyfile() -> Path:
    """The key of a vault of a personal install; kept beside the vault it would protect nothing."""
    with _home_known():
        return user_config_path(APP_NAME) / "keys" / "{vault}.key"


def shared_keyfile() -> Path:
    """The one key of all vaults of a personal install, until 0.1.0."""
    with _home_known():
        return user_config_path(APP_NAME) / "vault.key"


@contextmanager
def _home_known() -> Iterator[None]:
    """Tell what to do where a user has no home directory: in a container, as a service."""
    try:
        yield
    except RuntimeError as error:
        raise ConfigError(
            "this user has no home directory",
            "Set HOME, or give the state directory with --home and name the key with `keyfile` "
            f"in its {CONFIG_NAME}.",
        ) from error
