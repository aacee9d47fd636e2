"""``audit``: what the owner can read of the log, and whether it is whole."""

from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from edge_unlock.cli.printing import print_json
from edge_unlock.cli.session import Session

if TYPE_CHECKING:
    from edge_unlock.vault.audit import Entry


@click.group()
def audit() -> None:
    """Read the log of decisions and changes, or check it."""


@audit.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option(
    "--last", type=click.IntRange(min=1), metavar="N", help="Show the last N lines.  [default: all]"
)
@click.pass_obj
def show(session: Session, as_json: bool, last: int | None) -> None:
    """Show the log, with the names that only the vault's key gives.

    Of a log that was altered it shows what stands before the first bad line, then the error.
    """
    entries: deque[Entry] = deque(maxlen=last)
    try:
        entries.extend(session.vault.audit.entries())  # before any is shown: it holds the lock
    finally:
        for entry in entries:
            if as_json:
                print_json(asdict(entry))
            else:
                click.echo(_words(entry))


@audit.command()
@click.pass_obj
def verify(session: Session) -> None:
    """Check the whole log; the first bad line is named, and the exit status is 1."""
    extent = session.vault.audit.extent()
    click.echo(f"whole: {extent}")


def _words(entry: "Entry") -> str:
    known = {field: value for field, value in entry.fields.items() if value is not None}
    told = (f"{field}={_shown(value)}" for field, value in known.items())
    return "  ".join([f"{entry.line:6}", entry.time, entry.event, *told])


def _shown(value: object) -> str:
    """A value as a terminal may show it, whatever an old line holds."""
    text = str(value)
    return text if text.isprintable() else ascii(text)
