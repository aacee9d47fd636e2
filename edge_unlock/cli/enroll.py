"""``enroll``: makes a template of a person's voice."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import click

from edge_unlock.cli.options import input_options, rate_options
from edge_unlock.cli.printing import print_json
from edge_unlock.cli.session import Session
from edge_unlock.errors import EnrollmentError, UserExistsError

if TYPE_CHECKING:
    from edge_unlock.lock.enrollment import Enrollment
    from edge_unlock.lock.hearing import Heard
    from edge_unlock.segmentation.quality import Fault
    from edge_unlock.vault import Template

    Dropped = tuple[str | None, Fault]
    """The path of an input, None for the microphone, and why it was not kept."""

PURPOSE = "unlock by voice on this device"
DEFAULT_UTTERANCES = 5
MOST_TIMES = 20
"""A handful of utterances cannot promise that errors are rarer than one in so many."""


@click.command()
@click.argument("name")
@input_options
@click.option(
    "--utterances",
    type=click.IntRange(1, 50),
    default=DEFAULT_UTTERANCES,
    show_default=True,
    help="How many good utterances the microphone is asked for.",
)
@click.option("--replace", is_flag=True, help="Replace the template of a person who is enrolled.")
@click.option("--add", is_flag=True, help="Add to the template of a person who is enrolled.")
@rate_options("Decide about this person at a false-accept rate of the model, by its name.")
@click.option("--consent", is_flag=True, help="The person has agreed (for scripts).")
@click.pass_obj
def enroll(
    session: Session,
    name: str,
    inputs: Sequence[str],
    device: str | None,
    as_json: bool,
    utterances: int,
    replace: bool,
    add: bool,
    operating_point: str | None,
    consent: bool,
) -> None:
    """Enroll NAME: read aloud what is shown, or give recordings with --input.

    Each input is one utterance. What was good is kept until the end and then stored at
    once: stopping early changes nothing.

    The exit status is 0 if a template was stored: of three good utterances of one voice, or of
    all that were given where they are fewer. What was left out is told, with --json in "dropped".
    It is 4 if there were not enough, or if nobody can tell which voice is meant: then nothing is
    stored.
    """
    from edge_unlock.lock.enrollment import MIN_UTTERANCES, Enrollment
    from edge_unlock.vault import Consent, validate_user_name
    from edge_unlock.vault.record import utc_now

    if replace and add:
        raise click.UsageError("--replace and --add exclude each other")
    if add and operating_point:
        raise click.UsageError("--add keeps the operating point of the enrollment")
    name = validate_user_name(name)
    session.scorer.threshold(operating_point)  # an unknown name is refused before anybody speaks
    existing = _existing(session, name, replace=replace, add=add)
    if existing is not None:
        operating_point = existing.operating_point
        session.scorer.threshold(operating_point)  # so is one that is too loose by now
    if not (consent or add):
        click.confirm(f"Does {name} agree to: {PURPOSE}?", abort=True, err=True)
    agreed = Consent(when=utc_now(), purpose=PURPOSE)

    wanted = len(inputs) or utterances
    known = None if existing is None else existing.embeddings
    enrollment = Enrollment(session.encoder, session.scorer_at(device), wanted, known)
    if inputs:
        dropped = _hear_files(enrollment, session, inputs, as_json)
    else:
        dropped = _guide(enrollment, session, device, wanted, as_json)

    embeddings = enrollment.embeddings()
    if add:
        session.vault.add(name, embeddings, session.identity)
    else:
        session.vault.enroll(
            name,
            embeddings,
            session.identity,
            agreed,
            replace=replace,
            operating_point=operating_point,
            policy=session.policy,
        )
    count, rate = len(enrollment.kept), enrollment.rejection_rate(operating_point)
    if as_json:
        print_json(
            {
                "enrolled": name,
                "utterances": count,
                "kept": enrollment.kept,
                "dropped": [{"utterance": path, "reason": fault} for path, fault in dropped],
                "rejection_rate": None if rate is None else round(rate, 3),
            }
        )
        return
    click.echo(f"enrolled: {name} ({count} utterances)")
    if inputs and dropped:
        click.echo(f"{len(dropped)} of {wanted} inputs were not kept.", err=True)
    if rate is not None:
        click.echo(_outlook(rate), err=True)
    if count < MIN_UTTERANCES and not add:
        click.echo("hint: three or more utterances make a better template (--add).", err=True)


def _existing(session: Session, name: str, *, replace: bool, add: bool) -> Template | None:
    """The template to which something is added; checks early that the name is free or not."""
    if add:
        return session.vault.template(name, session.identity)
    if not replace and any(entry.name == name for entry in session.vault.users()):
        raise UserExistsError(f"{name} is enrolled already", "Use --replace or --add.")
    return None


def _hear_files(
    enrollment: Enrollment, session: Session, paths: Sequence[str], as_json: bool
) -> list[Dropped]:
    """Offer each recording, then decide on all of them; returns what was not kept."""
    dropped: list[Dropped] = []
    for path in paths:
        fault = _offer(enrollment, session.hear_all(path), as_json, path)
        if fault is not None:
            dropped.append((path, fault))
    return dropped + _settle(enrollment, as_json)


def _guide(
    enrollment: Enrollment, session: Session, device: str | None, wanted: int, as_json: bool
) -> list[Dropped]:
    """Lead through the prompts at the microphone until enough of one voice is there."""
    dropped: list[Dropped] = []
    hearing = session.hear_each((), device, None) if as_json else session.hear_metered(device)
    with closing(hearing) as utterances:
        while len(enrollment.kept) < wanted:
            if not as_json:
                click.echo(f"\n{enrollment.progress:4.0%}  Say {enrollment.prompt}", err=True)
            heard = next(utterances, None)
            if heard is None:
                raise EnrollmentError(
                    "the microphone stopped before enough was said", "Nothing was stored."
                )
            fault = _offer(enrollment, [heard], as_json, None)
            if fault is not None:
                dropped.append((None, fault))
            if len(enrollment.kept) == wanted:
                dropped += _settle(enrollment, as_json)
    return dropped


def _offer(
    enrollment: Enrollment, heard: Sequence[Heard], as_json: bool, path: str | None
) -> Fault | None:
    """Offer an utterance and tell what became of it."""
    fault = enrollment.offer(heard, path)
    _tell(enrollment, as_json, path, fault)
    return fault


def _settle(enrollment: Enrollment, as_json: bool) -> list[Dropped]:
    """Leave out what others said, and tell so."""
    from edge_unlock.segmentation.quality import Fault

    dropped: list[Dropped] = [(path, Fault.OTHER_SPEAKER) for path in enrollment.settle()]
    for path, fault in dropped:
        _tell(enrollment, as_json, path, fault)
    return dropped


def _tell(enrollment: Enrollment, as_json: bool, path: str | None, fault: Fault | None) -> None:
    progress = enrollment.progress
    if as_json:
        result = {"utterance": path, "result": fault or "ok", "progress": round(progress, 3)}
        print_json(result)
        return
    where = "" if path is None else f"{path}: "
    words = "ok" if fault is None else f"{fault}. {fault.hint}"
    click.echo(f"{progress:4.0%}  {where}{words}", err=True)


def _outlook(rate: float) -> str:
    """How good the template is, in one sentence."""
    if rate > 1 / 2:
        return (
            "This template will be rejected more often than not: enroll again, in a quiet room "
            "and as you will speak at the door (--replace)."
        )
    if rate < 1 / MOST_TIMES:
        return f"Expect to repeat yourself less than about 1 time in {MOST_TIMES}."
    return f"Expect to repeat yourself about 1 time in {round(1 / rate)}."
