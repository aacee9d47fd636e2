"""``listen``: decides on every utterance, and acts."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING

import click

from edge_unlock.cli.options import (
    input_options,
    operating_point_options,
    scores_option,
    timeout_option,
)
from edge_unlock.cli.printing import print_json
from edge_unlock.cli.session import STREAM, Session
from edge_unlock.cli.wording import EXIT_CODES, fields, hints, words_of
from edge_unlock.errors import ActionError, NoSpeechError, StatusError

if TYPE_CHECKING:
    from edge_unlock.actions import Action
    from edge_unlock.errors import DeviceError
    from edge_unlock.lock.door import Outcome
    from edge_unlock.lock.hearing import Hearing
    from edge_unlock.mqtt.connection import Connection
    from edge_unlock.scoring.recognizer import Decision
    from edge_unlock.service.notify import Notify
    from edge_unlock.service.reporter import Reporter
    from edge_unlock.service.status import Observer

DEVICE_ID_DIGITS = 12
"""So much of the vault's id tells this device from others at a broker."""


class _ListenCommand(click.Command):
    """Takes everything after ``--on-unlock`` as the command to run."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for position, argument in enumerate(args):
            option, equals, program = argument.partition("=")
            if option != "--on-unlock":
                continue
            command = [*([program] if equals else []), *args[position + 1 :]]
            if not (command and command[0]):
                raise click.UsageError("--on-unlock needs a command", ctx)
            ctx.meta["on_unlock"] = command
            return super().parse_args(ctx, args[:position])
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("Action"):
            formatter.write_dl(
                [
                    (
                        "--on-unlock CMD [ARG]...",
                        "Run this program on an acceptance, beside the actions of config.toml; "
                        "comes last, as everything after it belongs to it. EDGE_UNLOCK_USER tells "
                        "who it was, and EDGE_UNLOCK_SCORE the score where scores are shown.",
                    )
                ]
            )


@click.command(cls=_ListenCommand)
@input_options
@operating_point_options
@scores_option
@timeout_option(None)
@click.option("--user", "name", metavar="NAME", help="Accept nobody but NAME.")
@click.option(
    "--early/--no-early",
    default=None,
    help="Accept who is still speaking as soon as the match is clear.  [default: config.toml's]",
)
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@click.option("--once", is_flag=True, help="Stop after the first acceptance or rejection.")
@click.pass_obj
@click.pass_context
def listen(
    ctx: click.Context,
    session: Session,
    inputs: Sequence[str],
    device: str | None,
    as_json: bool,
    operating_point: str | None,
    show_scores: bool,
    timeout_s: float | None,
    name: str | None,
    early: bool | None,
    quiet: bool,
    once: bool,
) -> None:
    """Listen until stopped, deciding on every utterance.

    The exit status is that of the best thing that happened: 0 only if somebody was accepted, and
    1 if an action failed.
    """
    from edge_unlock.lock.door import Door, Outcome
    from edge_unlock.service.ending import Ending
    from edge_unlock.service.listener import Listener
    from edge_unlock.service.notify import Notify

    on_unlock = ctx.meta.get("on_unlock")
    is_live = not inputs or STREAM in inputs
    ending = ctx.with_resource(Ending())
    log = session.vault.audit
    broker = _broker(session)
    if broker is not None:
        ctx.with_resource(broker)
    actions = _actions(session, on_unlock, broker, reserved=as_json, show_scores=show_scores)
    notify = Notify()
    observers = _observers(session, notify, broker)
    reporter = ctx.with_resource(_reporter(session, inputs, device, observers))
    gatekeeper = ctx.with_resource(
        session.gatekeeper(name, operating_point, device, continuous=True)
    )
    refractory_s = session.settings.refractory_s if is_live else 0.0

    beats = [notify.beat, ending.check]
    if broker is not None:
        beats.append(_Link(broker, reporter).look)

    def beat() -> None:
        for one in beats:
            one()

    listener = ctx.with_resource(
        Listener(gatekeeper, Door(actions), log, reporter, refractory_s=refractory_s, beat=beat)
    )
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    early = session.settings.early if early is None else early
    exit_codes: set[int] = set()

    def tell(event: Decision | Outcome) -> None:
        if isinstance(event, Outcome):
            exit_codes.update(_report_failure(event))
        else:
            exit_codes.add(EXIT_CODES[event.decision])
            if not quiet:
                _report(event, as_json, show_scores)

    if not (inputs or as_json or quiet):
        click.echo("Listening; stop with Ctrl-C.", err=True)
    with closing(_hearings(session, inputs, device, reporter, deadline_s, early)) as hearings:
        try:
            for event in chain.from_iterable(
                listener.events(one, live=is_live) for one in hearings
            ):
                tell(event)
                if once and not isinstance(event, Outcome) and event.decision != "retry":
                    break
        except OSError:  # a full disk or a closed terminal breaks off no action that has begun
            deque(listener.finish(), maxlen=0)
            raise
        for outcome in listener.finish():
            tell(outcome)
    failed = ActionError.exit_code
    ctx.exit(failed if failed in exit_codes else min(exit_codes, default=NoSpeechError.exit_code))


class _Link:
    """Tells of the connection to the MQTT broker whenever that changes."""

    def __init__(self, broker: Connection, reporter: Reporter) -> None:
        from edge_unlock.mqtt.connection import UNTRIED

        self._broker = broker
        self._reporter = reporter
        self._error: str | None = UNTRIED
        reporter.linked(broker.name, self._error)

    def look(self) -> None:
        """Look whether it has changed."""
        error = self._broker.error
        if error != self._error:
            self._error = error
            self._reporter.linked(self._broker.name, error)
            words = "connected" if error is None else f"{error}; it is tried again"
            click.echo(f"edge-unlock: MQTT broker {self._broker.name}: {words}", err=True)


def _broker(session: Session) -> Connection | None:
    """The connection to the MQTT broker that the configuration names, if it does."""
    if session.settings.mqtt is None:
        return None
    from edge_unlock.mqtt.connection import Connection

    return Connection(session.settings.mqtt, session.vault.id[:DEVICE_ID_DIGITS])


def _actions(
    session: Session,
    on_unlock: Sequence[str] | None,
    broker: Connection | None,
    *,
    reserved: bool,
    show_scores: bool,
) -> list[Action]:
    """Make the actions of the configuration, and that of the command line."""
    from edge_unlock import actions as kinds  # each takes its libraries along when it is made
    from edge_unlock.config import CommandSettings, RelaySettings

    settings = session.settings
    wanted = list(settings.actions)
    if on_unlock is not None:
        wanted.append(CommandSettings(arguments=tuple(on_unlock)))
    actions: list[Action] = []
    for one in wanted:
        if isinstance(one, RelaySettings):
            relay = kinds.Relay(one.pin, active_high=one.active_high, pulse_s=one.pulse_s)
            actions.append(relay)
        elif isinstance(one, CommandSettings):
            timeout_s = one.timeout_s or settings.action_timeout_s
            actions.append(
                kinds.Command(one.arguments, timeout_s, reserved=reserved, show_score=show_scores)
            )
        elif broker is not None:  # or the settings had been refused
            actions.append(kinds.Publish(broker, one.topic, one.message))
    return actions


def _observers(session: Session, notify: Notify, broker: Connection | None) -> list[Observer]:
    """Who is told what happens: systemd, whoever asks at the status socket, Home Assistant."""
    from edge_unlock.service.socket import StatusSocket

    observers: list[Observer] = [notify]
    try:
        observers.append(StatusSocket(session.home))
    except StatusError as error:  # a lock that cannot tell is still a lock
        click.echo(f"note: {error}\nhint: {error.hint}", err=True)
    if broker is not None and session.settings.mqtt is not None:
        from edge_unlock.service.homeassistant import HomeAssistant

        observers.append(HomeAssistant(broker, session.settings.mqtt))
    return observers


def _reporter(
    session: Session, inputs: Sequence[str], device: str | None, observers: Sequence[Observer]
) -> Reporter:
    from importlib.metadata import version

    from edge_unlock.service.reporter import Reporter

    manifest = session.package.manifest
    return Reporter(
        observers,
        version=version("edge-unlock"),
        model=f"{manifest.name} {manifest.version}",
        microphone=", ".join(inputs) or session.microphone(device) or "the default",
    )


def _hearings(
    session: Session,
    inputs: Sequence[str],
    device: str | None,
    reporter: Reporter,
    deadline_s: float | None,
    early: bool,
) -> Generator[Hearing, None, None]:
    """What there is to hear: each input in turn, or the microphone for as long as it takes."""
    from edge_unlock.lock.hearing import Hearing

    def tell(error: DeviceError | None) -> None:
        words = f"{error}; waiting for it\nhint: {error.hint}" if error else "it hears again"
        click.echo(f"edge-unlock: {words}", err=True)
        reporter.microphone(error)

    chosen: Sequence[str | None] = inputs or (None,)
    for path in chosen:
        source = session.lasting(device, tell) if path is None else session.source(path, device)
        with source:
            yield Hearing(
                source, session.segmenter, session.encoder, early=early, deadline_s=deadline_s
            )


def _report(decision: Decision, as_json: bool, show_scores: bool) -> None:
    if as_json:
        print_json(fields(decision, show_scores))
        return
    words = words_of(decision, show_scores)
    click.echo(f"{time.strftime('%H:%M:%S')}  {' '.join([words, *hints(decision)])}")


def _report_failure(outcome: Outcome) -> set[int]:
    """Tell of an action that failed; return what that is as an exit status, if it did."""
    if outcome.error is None:
        return set()
    error = outcome.error
    click.echo(f"edge-unlock: error: {error}\nhint: {error.hint}", err=True)
    return {error.exit_code}
