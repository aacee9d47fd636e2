"""``model``: which model package the vault accepts, and how strictly it decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edge_unlock.cli.printing import print_json
from edge_unlock.cli.session import Session
from edge_unlock.vault.policy import SOLE_FACTOR

if TYPE_CHECKING:
    from edge_unlock.vault import Policy

SOLE_FACTOR_WARNING = """\
WARNING: with this a voice alone logs people in, at every login that runs `edge-unlock pam`.
So does a recording or a clone of it, and now and then a stranger, as often as the
false-accept rate says. Take it back with --no-sole-factor."""


@click.group()
def model() -> None:
    """See, or change, which model package decides and how strictly."""


@model.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def show(session: Session, as_json: bool) -> None:
    """Show the model package in use, and what the vault accepts."""
    from edge_unlock.lock.trust import policy_for

    sealed, in_use = session.sealed_policy, policy_for(session.package)
    if as_json:
        print_json(
            {
                "accepted": None if sealed is None else _fields(sealed),
                "in_use": _fields(in_use),
            }
        )
        return
    if sealed is not None:
        _tell("accepted", sealed)
    if sealed is None or sealed.package != in_use.package:
        _tell("in use", in_use)
    click.echo(f"in use is {session.trust}")


@model.command()
@click.option(
    "--far",
    type=float,
    metavar="RATE",
    help="Decide at this false-accept rate, and never more loosely.  [default: as before]",
)
@click.option(
    "--idle-limit-hours",
    "hours",
    type=click.FloatRange(min=0),
    metavar="HOURS",
    help="After so long without an acceptance voice alone no longer opens; 0 for never.  "
    "[default: as before]",
)
@click.option(
    "--allow-sole-factor/--no-sole-factor",
    "sole_factor",
    default=None,
    help="Let a voice alone log people in, without a password (see `pam`): who plays a "
    "recording of one then gets in.  [default: as before, at first not]",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def accept(
    session: Session, far: float | None, hours: float | None, sole_factor: bool | None, yes: bool
) -> None:
    """Let the model package in use decide, and seal that in the vault.

    It shows what changes, and takes the vault's key.
    """
    from edge_unlock.lock.trust import policy_for
    from edge_unlock.scoring.scorer import Scorer, rate_name

    old = session.sealed_policy
    flags: frozenset[str] = frozenset()
    if old is not None:
        flags = old.flags
        far = old.false_accept_rate if far is None else far
        hours = old.idle_limit_hours if hours is None else hours
    if far is not None:
        far = Scorer(session.package).rate(rate_name(far))  # refuses what the model cannot do
    if sole_factor is not None:
        flags = flags | {SOLE_FACTOR} if sole_factor else flags - {SOLE_FACTOR}
    new = policy_for(
        session.package, false_accept_rate=far, idle_limit_hours=hours or None, flags=flags
    )
    if new == old:
        click.echo("accepted already")
        return
    if old is not None:
        _tell("old", old)
    _tell("new", new)
    if SOLE_FACTOR in new.flags and (old is None or SOLE_FACTOR not in old.flags):
        click.echo(SOLE_FACTOR_WARNING, err=True)
    if not yes:
        click.confirm("Decide by the new one from now on?", abort=True, err=True)
    session.vault.accept(new)
    click.echo(f"accepted: {new.package.name} {new.package.version}")
    for entry in session.vault.users():
        if entry.identity != session.identity:
            click.echo(f"{entry.name} has to enroll again: the network is another one", err=True)


def _tell(label: str, policy: Policy) -> None:
    package = policy.package
    points = ", ".join(f"{name} at {score:.3f}" for name, score in package.thresholds.items())
    rate, hours = policy.false_accept_rate, policy.idle_limit_hours
    click.echo(
        f"{label}: {package.name} {package.version}, manifest {package.manifest_sha256.hex()[:12]}"
    )
    click.echo(f"  thresholds: {points}")
    click.echo(
        f"  false-accept rate: {'the default of the model' if rate is None else f'{rate:g}'}"
    )
    click.echo(f"  idle limit: {'none' if hours is None else f'{hours:g} hours'}")
    alone = "enough, as its owner has chosen" if SOLE_FACTOR in policy.flags else "not enough"
    click.echo(f"  a voice alone, for a login: {alone}")


def _fields(policy: Policy) -> dict[str, Any]:
    from edge_unlock.vault.policy import policy_to_json

    return policy_to_json(policy)
