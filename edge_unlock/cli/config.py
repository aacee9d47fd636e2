"""``config``: is the configuration file right, and what holds by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_unlock.cli.printing import print_json
from edge_unlock.cli.session import Session

if TYPE_CHECKING:
    from edge_unlock.config import Settings


ACTIONS = "actions"
"""The setting that is a list of tables."""


@click.group()
def config() -> None:
    """Check the configuration file, or see what holds by it."""


@config.command()
@click.pass_obj
def check(session: Session) -> None:
    """Read the configuration file; exit 1, and say what is wrong with it, if something is.

    What it names is looked at too, as `listen` does it: files, programs, the model. No microphone,
    no GPIO line and no network is touched, and nobody is asked for a passphrase.
    """
    _check(session)
    if session.config_path.exists():
        click.echo(f"ok: {session.config_path}")
    else:
        click.echo(f"there is no {session.config_path}: defaults hold")


def _check(session: Session) -> None:
    """Make what `listen` makes of the settings, as far as nothing is moved; or it raises."""
    from edge_unlock.actions import Command
    from edge_unlock.config import CommandSettings
    from edge_unlock.vault import Passphrase, Vault

    settings = session.settings
    if settings.mqtt is not None:
        from edge_unlock.mqtt.broker import Broker

        Broker.of(settings.mqtt)
    for action in settings.actions:
        if isinstance(action, CommandSettings):
            Command(action.arguments, action.timeout_s or settings.action_timeout_s)
    _ = session.package
    if Vault.exists(session.home) and Vault.key_source_kind(session.home) != Passphrase.kind:
        session.scorer.threshold()  # or its rate is looser than what the vault accepts


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def show(session: Session, as_json: bool) -> None:
    """Show all settings, in TOML; those that the file leaves as they are stand behind a #.

    What --model and other options say comes before.
    """
    settings = _fields(session.settings)
    if as_json:
        print_json(settings)
        return
    click.echo(f"# {session.config_path}")
    for line in _lines(settings, _said(session.config_path)):
        click.echo(line)


def _said(path: Path) -> dict[str, Any]:
    """What the file itself says, which has been read and found right."""
    import tomllib

    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _lines(settings: dict[str, Any], said: dict[str, Any]) -> Iterator[str]:
    """Settings in TOML, plain ones before tables; a ``#`` before those that are not ``said``."""
    import tomli_w

    tables = []
    for key, value in settings.items():
        is_table = isinstance(value, dict) or key == ACTIONS
        if is_table and value:
            tables.append(key)
        elif value is None or is_table:
            yield f"# {key} is not set"
        else:
            mark = "" if key in said else "# "
            yield from (f"{mark}{line}" for line in tomli_w.dumps({key: value}).splitlines())
    for key in tables:
        if isinstance(settings[key], dict):
            yield f"[{key}]"
            yield from _lines(settings[key], said[key])
        else:
            for one, told in zip(settings[key], said[key], strict=True):
                yield f"[[{key}]]"
                yield from _lines(one, told)


def _fields(settings: Settings) -> dict[str, Any]:
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=_text)
    return fields


def _text(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"settings hold no {type(value).__name__}")
