"""``calibrate``: learns what strangers sound like at this place."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from edge_unlock.cli.options import rate_options
from edge_unlock.cli.printing import print_json
from edge_unlock.cli.session import Session

if TYPE_CHECKING:
    from edge_unlock.scoring.place import Share, Survey, Utterance
    from edge_unlock.segmentation.quality import Fault

DEFAULT_MINUTES = 5.0
NOISY_SHARE = 1 / 3
"""Of what was heard; where more is too noisy, the place or the microphone is."""


@click.command()
@click.option(
    "--impostors",
    "recordings",
    multiple=True,
    metavar="FILE",
    help="Recordings of other people, made with the lock's microphone, instead of listening; "
    "repeatable. - is raw 16-bit 16 kHz mono PCM on standard input.",
)
@click.option("--device", help="Microphone: part of its name, or its index.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_MINUTES,
    show_default=True,
    help="How long the microphone, or a stream, is heard.",
)
@rate_options("Tell of decisions at a false-accept rate, by its name.")
@click.option("--forget", is_flag=True, help="Erase what was learned: the model's thresholds hold.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def calibrate(
    session: Session,
    recordings: Sequence[str],
    device: str | None,
    minutes: float,
    operating_point: str | None,
    forget: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Learn this place: hear other people, a radio or a television for some minutes.

    Whoever is enrolled should be silent meanwhile. Ten people or more tell most. What is learned
    holds for this microphone, and with this model: voices that are known to be others', and by how
    much thresholds have to rise or may fall. Voices are kept sealed, as templates are.
    """
    if forget:
        _forget(session, yes)
        return
    from edge_unlock.scoring.place import survey

    templates = session.vault.templates(session.identity)
    heard, faults = _hear(session, recordings, device, minutes, as_json)
    found = survey(session.scorer, templates, heard, operating_point)
    advice = [*found.advice, *_noise(heard, faults)]
    if not as_json:
        _tell(found, len(heard), faults, advice)
    stored = yes or click.confirm("Decide by this from now on?", default=True, err=True)
    if stored:
        session.vault.learn_place(
            found.voices, found.shift, session.microphone(device), session.identity
        )
    if as_json:
        print_json(_fields(found, len(heard), faults, advice, stored=stored))
    else:
        click.echo(f"learned: {len(found.voices)} voices" if stored else "nothing was stored")


def _forget(session: Session, yes: bool) -> None:
    vault = session.vault
    if not yes:
        click.confirm("Erase what was learned of this place?", abort=True, err=True)
    click.echo("forgotten" if vault.forget_place() else "nothing had been learned")


def _hear(
    session: Session, recordings: Sequence[str], device: str | None, minutes: float, as_json: bool
) -> tuple[list[Utterance], Counter[Fault]]:
    """What others said, and how often it could not be used."""
    from edge_unlock.encoder.calibration import Quality
    from edge_unlock.scoring.place import MOST_UTTERANCES, Utterance
    from edge_unlock.segmentation.quality import VERIFY_LIMITS, Fault, speech_seconds

    if not (recordings or as_json):
        click.echo(
            f"Listening to others for {minutes:g} minutes, or until {MOST_UTTERANCES} utterances "
            "were heard.",
            err=True,
        )
    deadline_s = time.monotonic() + 60 * minutes
    utterances: list[Utterance] = []
    faults: Counter[Fault] = Counter()
    for heard in session.hear_each(recordings, device, deadline_s if not recordings else None):
        segment = heard.segment
        fault = Fault.AUDIO_LOST if heard.audio_lost else VERIFY_LIMITS.fault_of([segment])
        if fault or heard.embedding is None:
            faults[fault or Fault.TOO_SHORT] += 1
            continue
        direction, magnitude = heard.embedding
        utterances.append(Utterance(direction, Quality(speech_seconds([segment]), magnitude)))
        if not recordings and len(utterances) == MOST_UTTERANCES:
            break
    return utterances, faults


def _noise(heard: Sequence[Utterance], faults: Counter[Fault]) -> list[str]:
    """Advice where much could not be used."""
    unused = sum(faults.values())
    if not unused or unused < NOISY_SHARE * (unused + len(heard)):
        return []
    fault, _ = faults.most_common(1)[0]
    return [f"Much of what was heard is {fault}. {fault.hint}"]


def _tell(found: Survey, utterances: int, faults: Counter[Fault], advice: Sequence[str]) -> None:
    unused = ", ".join(f"{fault}: {count}" for fault, count in faults.most_common())
    click.echo(f"{utterances} utterances of {len(found.voices)} voices", nl=not unused)
    if unused:
        click.echo(f"; {sum(faults.values())} could not be used ({unused})")
    for name in found.owners:
        click.echo(f"One voice is that of {name}, and was left out.")
    for what, before, here in (
        ("strangers let in", found.accepted_before, found.accepted),
        ("owners rejected", found.rejected_before, found.rejected),
    ):
        click.echo(f"{what}: {_share(before)} by the model, {_share(here)} by this place")
    for sentence in advice:
        click.echo(f"hint: {sentence}", err=True)


def _share(share: Share) -> str:
    """A rate, how often it was seen, and where it lies."""
    if not share.trials:
        return "not known"
    low, high = share.interval
    return f"{share.rate:.1%} ({share.count} of {share.trials}; {low:.1%} to {high:.1%})"


def _fields(
    found: Survey, utterances: int, faults: Counter[Fault], advice: Sequence[str], *, stored: bool
) -> dict[str, Any]:
    return {
        "utterances": utterances,
        "dropped": {str(fault): count for fault, count in faults.items()},
        "voices": len(found.voices),
        "owners_heard": found.owners,
        "shift": round(found.shift, 4),
        "false_accepts": _both(found.accepted_before, found.accepted),
        "false_rejects": _both(found.rejected_before, found.rejected),
        "advice": advice,
        "stored": stored,
    }


def _both(before: Share, here: Share) -> dict[str, Any]:
    return {
        which: {
            "count": share.count,
            "trials": share.trials,
            "rate": round(share.rate, 5),
            "interval": [round(end, 5) for end in share.interval],
        }
        for which, share in (("model", before), ("place", here))
    }
