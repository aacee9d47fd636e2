"""``status``: what a running ``listen`` does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import click

from edge_unlock.cli.printing import print_json
from edge_unlock.cli.session import Session
from edge_unlock.errors import StatusError

if TYPE_CHECKING:
    from edge_unlock.service.status import Done, Seen, Status


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def status(session: Session, as_json: bool) -> None:
    """Tell what is listening: since when, its microphone, and the last decisions.

    The exit status is 0 if something listens and hears, else 1.
    """
    from msgspec import to_builtins

    from edge_unlock.service.socket import read_status

    found = read_status(session.home)
    if found is None:
        raise StatusError(
            f"nothing listens with the state directory {session.home}",
            "Start it with `edge-unlock listen`, or name its directory with --home.",
        )
    if as_json:
        print_json(to_builtins(found))
    else:
        for line in _lines(found):
            click.echo(line)
    if not found.microphone.delivers:
        raise StatusError(
            f"the microphone does not deliver: {found.microphone.error}", "Is it plugged in?"
        )


def _lines(found: Status) -> Iterator[str]:
    microphone = found.microphone
    yield f"{found.state}; process {found.pid}, started {_local(found.since)}"
    yield f"edge-unlock {found.version}, model {found.model}"
    health = "delivers" if microphone.delivers else "does not deliver"
    yield (
        f"microphone {microphone.name}: {health} since {_local(microphone.since)}; "
        f"failed {microphone.losses} times, samples lost {microphone.overruns} times"
    )
    if found.link is not None:
        error = found.link.error
        health = "connected" if error is None else f"not connected ({error})"
        yield f"MQTT broker {found.link.broker}: {health} since {_local(found.link.since)}"
    if found.lockout is not None:
        yield f"locked out since {_local(found.lockout.since)}: {found.lockout.reason}"
    for seen in found.decisions:
        yield f"{_local(seen.time)}  {_decision(seen)}"
    for done in found.actions:
        yield f"{_local(done.time)}  {_action(done)}"


def _decision(seen: Seen) -> str:
    parts = [seen.decision if seen.user is None else f"{seen.decision}: {seen.user}"]
    parts += [part for part in (seen.match, seen.reason) if part]
    return f"{', '.join(parts)}, {seen.seconds:.1f} s"


def _action(done: Done) -> str:
    return f"{done.action} {done.outcome}" + (f": {done.error}" if done.error else "")


def _local(time: str) -> str:
    try:
        return f"{datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError) as error:
        raise StatusError(
            "what listens there tells no times", "Restart what listens there."
        ) from error
