"""``enroll``: makes a template of a person's voice."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import click

from edge_unlock.cli.session import Session, input_options, print_json
from edge_unlock.errors import EnrollmentError, UserExistsError

if TYPE_CHECKING:
    from edge_unlock.enrollment import Enrollment
    from edge_unlock.features import Float32
    from edge_unlock.hearing import Heard

PURPOSE = "unlock by voice on this device"
DEFAULT_UTTERANCES = 5


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
@click.option(
    "--operating-point",
    metavar="NAME",
    help="Decide about this person at a false-accept rate of the model, by its name.",
)
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
    """
    from edge_unlock.enrollment import Enrollment
    from edge_unlock.vault import Consent, validate_user_name
    from edge_unlock.vault.record import utc_now

    if replace and add:
        raise click.UsageError("--replace and --add exclude each other")
    if add and operating_point:
        raise click.UsageError("--add keeps the operating point of the enrollment")
    name = validate_user_name(name)
    session.scorer.threshold(operating_point)  # an unknown name is refused before anybody speaks
    existing = _existing(session, name, replace=replace, add=add)
    if not (consent or add):
        click.confirm(f"Does {name} agree to: {PURPOSE}?", abort=True, err=True)
    agreed = Consent(when=utc_now(), purpose=PURPOSE)

    wanted = len(inputs) or utterances
    enrollment = Enrollment(session.encoder, session.scorer, wanted, existing)
    if inputs:
        for path in inputs:
            _offer(enrollment, session.hear_all(path), as_json, path)
    else:
        _guide(enrollment, session, device, wanted, as_json)

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
        )
    if as_json:
        print_json({"enrolled": name, "utterances": enrollment.accepted})
    else:
        click.echo(f"enrolled: {name} ({enrollment.accepted} utterances)")
        if enrollment.accepted < 3:
            click.echo("hint: three or more utterances make a better template (--add).", err=True)


def _existing(session: Session, name: str, *, replace: bool, add: bool) -> Float32 | None:
    """Embeddings to which something is added; checks early that the name is free or not."""
    if add:
        return session.vault.template(name, session.identity).embeddings
    if not replace and any(entry.name == name for entry in session.vault.users()):
        raise UserExistsError(f"{name} is enrolled already", "Use --replace or --add.")
    return None


def _guide(
    enrollment: Enrollment, session: Session, device: str | None, wanted: int, as_json: bool
) -> None:
    """Lead through the prompts at the microphone until enough is there."""
    with closing(session.hear_each((), device, None)) as utterances:
        while enrollment.accepted < wanted:
            if not as_json:
                click.echo(f"\n{enrollment.progress:4.0%}  Say {enrollment.prompt}", err=True)
            heard = next(utterances, None)
            if heard is None:
                raise EnrollmentError(
                    "the microphone stopped before enough was said", "Nothing was stored."
                )
            _offer(enrollment, [heard], as_json, None)


def _offer(enrollment: Enrollment, heard: Sequence[Heard], as_json: bool, path: str | None) -> None:
    """Offer an utterance and tell what became of it."""
    fault = enrollment.offer(heard)
    if as_json:
        print_json(
            {
                "utterance": path,
                "result": fault or "ok",
                "progress": round(enrollment.progress, 3),
            }
        )
        return
    where = "" if path is None else f"{path}: "
    if fault is None:
        click.echo(f"{enrollment.progress:4.0%}  {where}ok", err=True)
    else:
        click.echo(f"{enrollment.progress:4.0%}  {where}{fault}. {fault.hint}", err=True)
