"""``relay-off``: the last resort of a service whose processes were all killed."""

from __future__ import annotations

import click

from edge_unlock.cli.session import Session
from edge_unlock.errors import ActionError


@click.command("relay-off")
@click.pass_obj
def relay_off(session: Session) -> None:
    """Switch every relay of config.toml off.

    For ExecStopPost= of a service: where all of its processes were killed at once, the kernel
    leaves a relay as it was.
    """
    from edge_unlock.actions import Relay
    from edge_unlock.config import RelaySettings

    errors = []
    for relay in session.settings.actions:
        if not isinstance(relay, RelaySettings):
            continue
        try:
            with Relay(relay.pin, active_high=relay.active_high):
                click.echo(f"GPIO{relay.pin} is off")
        except ActionError as error:
            errors.append(error)
    if errors:
        raise ActionError("; ".join(dict.fromkeys(map(str, errors))), errors[0].hint)
