"""``wyoming``: tells voice assistants who speaks."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from edge_unlock.cli.options import rate_options
from edge_unlock.cli.session import Session
from edge_unlock.errors import ConfigError, EdgeUnlockError

if TYPE_CHECKING:
    from edge_unlock.assistant.address import Address
    from edge_unlock.assistant.request import Service


@click.command()
@click.option("--uri", help="Where to serve: tcp://ADDRESS:PORT, or unix:///PATH.")
@click.option(
    "--asr-uri", help="Pass audio on to this speech-to-text server, and its transcripts back."
)
@click.option(
    "--tag/--no-tag",
    default=None,
    help="Begin the text of a transcript with the name: [alice] turn on the light.",
)
@rate_options(
    "Decide at a false-accept rate, by its name.  [default: the person's, else the installation's]"
)
@click.pass_obj
def wyoming(
    session: Session,
    uri: str | None,
    asr_uri: str | None,
    tag: bool | None,
    operating_point: str | None,
) -> None:
    """Tell voice assistants who speaks, by the Wyoming protocol, until stopped.

    Whoever can connect may try voices, and so use up attempts: the protocol knows no password.
    """
    if find_spec("wyoming") is None:
        raise ConfigError(
            "the package wyoming is not installed", "Install it: pip install 'edge-unlock[wyoming]'"
        )
    from edge_unlock.assistant.address import Address
    from edge_unlock.assistant.answer import identity_program
    from edge_unlock.assistant.judge import Judge
    from edge_unlock.assistant.request import Service
    from edge_unlock.config import WyomingSettings

    settings = session.settings.wyoming or WyomingSettings()
    address = Address.parse(settings.uri if uri is None else uri)
    asr = settings.asr_uri if asr_uri is None else asr_uri
    service = Service(
        judge=Judge(session.gatekeeper(None, operating_point, None, continuous=True)),
        program=identity_program(session.package.manifest),
        asr=None if asr is None else Address.parse(asr),
        tag=settings.tag if tag is None else tag,
        complain=_complain,
    )
    if not address.is_local:
        click.echo(
            f"warning: whoever can reach {address} can try voices here: Wyoming has no password.",
            err=True,
        )
    _serve(address, service)


def _serve(address: Address, service: Service) -> None:
    import asyncio

    from edge_unlock.assistant.server import Server

    async def serve() -> bool:
        try:
            await Server(service).run(
                address, lambda uri: click.echo(f"Serving at {uri}; stop with Ctrl-C.", err=True)
            )
        finally:
            is_idle = await service.judge.close()
        return is_idle

    if not asyncio.run(serve()):
        # The thread cannot be interrupted, and Python would wait for it. As at a kill, the attempt
        # that was charged for what is being judged stays so.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(0)


def _complain(error: EdgeUnlockError) -> None:
    """Tell the operator; that nobody reads it is no reason to stop."""
    with suppress(OSError, ValueError):
        click.echo(f"edge-unlock: error: {error}\nhint: {error.hint}", err=True)
