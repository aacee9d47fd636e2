"""``verify``, ``identify`` and ``listen``: the commands that decide."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from edge_unlock.cli.gate import EXIT_CODES, gatekeeper_of
from edge_unlock.cli.options import F, input_options, rate_options
from edge_unlock.cli.session import STREAM, Session, print_json
from edge_unlock.cli.wording import fields, hints, words_of
from edge_unlock.errors import ActionError, NoSpeechError

if TYPE_CHECKING:
    from edge_unlock.actions import Command
    from edge_unlock.hearing import Heard
    from edge_unlock.recognizer import Decision
    from edge_unlock.vault.audit import AuditLog

operating_point_options = rate_options(
    "Decide at a false-accept rate, by its name.  [default: the person's, else the installation's]"
)

scores_option = click.option(
    "--show-scores",
    is_flag=True,
    help="Tell scores, not only how well a voice matched. Who can read them gets in more easily.",
)


def timeout_option(default_s: float | None) -> Callable[[F], F]:
    """How long the microphone, or a stream on standard input, is heard."""
    return click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        default=default_s,
        show_default=default_s is not None,
        help="Stop hearing a microphone or a stream after so long.",
    )


@click.command()
@click.argument("name")
@input_options
@operating_point_options
@scores_option
@timeout_option(10.0)
@click.pass_obj
@click.pass_context
def verify(
    ctx: click.Context,
    session: Session,
    name: str,
    inputs: Sequence[str],
    device: str | None,
    as_json: bool,
    operating_point: str | None,
    show_scores: bool,
    timeout_s: float,
) -> None:
    """Decide whether the speaker is NAME.

    Several files are one attempt: what is said in all of them is judged together. Of a
    microphone or a stream, each utterance is one, until somebody is accepted or rejected.
    """
    ctx.exit(
        _decide_once(
            session, name, inputs, device, as_json, operating_point, show_scores, timeout_s
        )
    )


@click.command()
@input_options
@operating_point_options
@scores_option
@timeout_option(10.0)
@click.pass_obj
@click.pass_context
def identify(
    ctx: click.Context,
    session: Session,
    inputs: Sequence[str],
    device: str | None,
    as_json: bool,
    operating_point: str | None,
    show_scores: bool,
    timeout_s: float,
) -> None:
    """Decide which enrolled person is speaking, if any."""
    ctx.exit(
        _decide_once(
            session, None, inputs, device, as_json, operating_point, show_scores, timeout_s
        )
    )


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
                        "Run this program on an acceptance; comes last, as everything after it "
                        "belongs to it. EDGE_UNLOCK_USER tells who it was, and EDGE_UNLOCK_SCORE "
                        "the score where scores are shown.",
                    )
                ]
            )


@click.command(cls=_ListenCommand)
@input_options
@operating_point_options
@scores_option
@timeout_option(None)
@click.option("--user", "name", metavar="NAME", help="Accept nobody but NAME.")
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
    quiet: bool,
    once: bool,
) -> None:
    """Listen until stopped, deciding on every utterance.

    The exit status is that of the best thing that happened: 0 only if somebody was accepted
    and the unlock command, if any, succeeded.
    """
    from edge_unlock.actions import Command

    arguments = ctx.meta.get("on_unlock")
    action = None
    if arguments:
        action = Command(
            arguments,
            session.settings.action_timeout_s,
            reserved=as_json,
            show_score=show_scores,
        )
    gatekeeper = ctx.with_resource(
        gatekeeper_of(session, name, operating_point, device, continuous=True)
    )
    before = signal.signal(signal.SIGTERM, _end)
    ctx.call_on_close(lambda: signal.signal(signal.SIGTERM, before))
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    outcomes: set[int] = set()
    if not (inputs or as_json or quiet):
        click.echo("Listening; stop with Ctrl-C.", err=True)
    for heard in session.hear_each(inputs, device, deadline_s, lasting=True):
        decision = gatekeeper.judge([heard])
        # first, so that a full disk or a closed terminal does not keep the door shut
        failure = _unlock(action, decision, session.vault.audit)
        if failure is not None:
            click.echo(f"edge-unlock: error: {failure}\nhint: {failure.hint}", err=True)
        if as_json and not quiet:
            print_json(fields(decision, show_scores))
        elif not quiet:
            words = words_of(decision, show_scores)
            click.echo(f"{time.strftime('%H:%M:%S')}  {' '.join([words, *hints(decision)])}")
        outcomes.add(EXIT_CODES[decision.decision] if failure is None else failure.exit_code)
        if once and decision.decision != "retry":
            break
    ctx.exit(min(outcomes, default=NoSpeechError.exit_code))


def _end(number: int, _: object) -> NoReturn:
    """Leave in order at SIGTERM: the unlock command is stopped, what was prepaid is given back."""
    sys.exit(128 + number)


def _decide_once(
    session: Session,
    name: str | None,
    inputs: Sequence[str],
    device: str | None,
    as_json: bool,
    operating_point: str | None,
    show_scores: bool,
    timeout_s: float,
) -> int:
    """Judge one attempt; returns the exit code."""
    is_live = not inputs or STREAM in inputs
    if is_live and len(inputs) > 1:
        raise click.UsageError("--input - has no end to wait for, and must be the only input")
    gatekeeper = gatekeeper_of(session, name, operating_point, device)
    attempts: Iterable[Sequence[Heard]]
    if not is_live:
        attempts = [[heard for path in inputs for heard in session.hear_all(path)]]
    else:
        if not as_json:
            click.echo("Speak now.", err=True)
        deadline_s = time.monotonic() + timeout_s
        attempts = ([heard] for heard in session.hear_each(inputs, device, deadline_s))
    advice = "Speak a whole sentence, and closer."
    for heard in attempts:
        decision = gatekeeper.judge(heard)
        _report(decision, as_json, show_scores)
        if decision.decision != "retry":
            return EXIT_CODES[decision.decision]
        advice = next(iter(hints(decision)), advice)
    raise NoSpeechError("no usable speech was heard", advice)


def _unlock(action: Command | None, decision: Decision, audit: AuditLog) -> ActionError | None:
    """Do what an acceptance is to do, and log what became of it; returns what went wrong."""
    if action is None or not decision.is_accepted:
        return None
    try:
        action.run(decision)
    except ActionError as error:
        audit.append(f"unlock {error.outcome}", user=decision.user, status=error.status)
        return error
    audit.append("unlock done", user=decision.user)
    return None


def _report(decision: Decision, as_json: bool, show_scores: bool) -> None:
    if as_json:
        print_json(fields(decision, show_scores))
        return
    click.echo(words_of(decision, show_scores))
    for hint in hints(decision):
        click.echo(f"hint: {hint}", err=True)
