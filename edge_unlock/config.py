"""Settings of one installation: ``config.toml`` in the state directory, all of it optional."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
from platformdirs import user_config_path, user_data_path

from edge_unlock import files
from edge_unlock.errors import ConfigError, VaultError, VaultMissingError

APP_NAME = "edge-unlock"
CONFIG_NAME = "config.toml"
MAX_CONFIG_BYTES = 16 * 1024
MAX_DEVICE = 9999
PositiveSeconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What ``config.toml`` may say; options of the command line come first."""

    device: str | Annotated[int, msgspec.Meta(ge=0, le=MAX_DEVICE)] | None = None
    """Microphone: a part of its name, or its index; the system's default without."""
    model: Path | None = None
    """Directory of a model package; the one that ships without."""
    trusted_key: Path | None = None
    """Ed25519 public key (PEM): only packages signed with its private half are loaded."""
    far: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    """The false-accept rate to decide at where nothing else says; the model's default without."""
    keyfile: Path | None = None
    """The key of a vault with a key file; ``default_keyfile`` without. ``{vault}`` in it stands
    for the vault's id."""
    idle_limit_hours: PositiveSeconds | None = None
    """After so long without an acceptance a person's voice alone no longer suffices; off without.

    Hours that the device was up; ``edge-unlock enable NAME`` begins them anew."""
    action_timeout_s: PositiveSeconds = 30.0
    """How long an unlock command may run."""

    @classmethod
    def load(cls, home: Path) -> "Settings":
        """Read ``home/config.toml``; defaults where there is none.

        Raises ``ConfigError`` for a file that is not TOML, or says what is not known, or that
        others than root and this user may have written: it can weaken a decision.
        """
        path = home / CONFIG_NAME
        try:
            data = files.read_path(path, MAX_CONFIG_BYTES, files.check_trusted)
            return msgspec.toml.decode(data, type=cls, dec_hook=_convert)
        except VaultMissingError:
            return cls()
        except VaultError as error:
            raise ConfigError(str(error), error.hint) from error
        except (msgspec.MsgspecError, ValueError, OverflowError) as error:
            raise ConfigError(f"{path}: {error}", "Correct or delete the file.") from error
        except RecursionError as error:
            raise ConfigError(
                f"{path} is nested too deeply", "Correct or delete the file."
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
