"""``verify`` and ``identify``: the commands that decide once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
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
from edge_unlock.cli.wording import EXIT_CODES, fields, hints, ranking, words_of
from edge_unlock.errors import NoSpeechError

if TYPE_CHECKING:
    from edge_unlock.lock.hearing import Heard
    from edge_unlock.scoring.recognizer import Decision


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
@click.option(
    "--top",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Tell the N likeliest of those enrolled, whoever it is decided to be.",
)
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
    top: int,
) -> None:
    """Decide which enrolled person is speaking, if any."""
    ctx.exit(
        _decide_once(
            session, None, inputs, device, as_json, operating_point, show_scores, timeout_s, top
        )
    )


def _decide_once(
    session: Session,
    name: str | None,
    inputs: Sequence[str],
    device: str | None,
    as_json: bool,
    operating_point: str | None,
    show_scores: bool,
    timeout_s: float,
    top: int = 0,
) -> int:
    """Judge one attempt; returns the exit code. ``top``: so many candidates are told."""
    is_live = not inputs or STREAM in inputs
    if is_live and len(inputs) > 1:
        raise click.UsageError("--input - has no end to wait for, and must be the only input")
    gatekeeper = session.gatekeeper(name, operating_point, device, told=top)
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
        _report(decision, as_json, show_scores, ranked=top > 0)
        if decision.decision != "retry":
            return EXIT_CODES[decision.decision]
        advice = next(iter(hints(decision)), advice)
    raise NoSpeechError("no usable speech was heard", advice)


def _report(decision: Decision, as_json: bool, show_scores: bool, *, ranked: bool) -> None:
    if as_json:
        print_json(fields(decision, show_scores, ranked=ranked))
        return
    click.echo(words_of(decision, show_scores))
    for line in ranking(decision, show_scores):
        click.echo(line)
    for hint in hints(decision):
        click.echo(f"hint: {hint}", err=True)
