"""Commands that manage the vault: init, list, remove, enable, export,
import, rekey."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_unlock.cli.passphrase import passphrase_asker
from edge_unlock.cli.printing import print_json
from edge_unlock.cli.session import Session
from edge_unlock.vault import KeyFile, Passphrase, SystemdCredential

if TYPE_CHECKING:
    from edge_unlock.vault import Vault

key_source_option = click.option(
    "--key-source",
    "kind",
    type=click.Choice([KeyFile.kind, Passphrase.kind, SystemdCredential.kind]),
    default=KeyFile.kind,
    show_default=True,
    help="What opens the vault: a key file (protects a copied vault), a passphrase (protects a "
    "stolen card, and is asked for each time), or what systemd decrypts for a service.",
)


@click.command()
@key_source_option
@click.pass_obj
def init(session: Session, kind: str) -> None:
    """Create an empty vault."""
    from edge_unlock.vault import Vault

    policy = session.first_policy()
    key_source = session.key_source(kind, new=True)
    with Vault.create(session.home, key_source, policy) as vault:
        _warn_of_key_place(vault)
    click.echo(f"created: {session.home} (key source: {kind})")


@click.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def list_(session: Session, as_json: bool) -> None:
    """List who is enrolled."""
    for entry in session.vault.users():
        stale = entry.identity != session.identity
        if as_json:
            print_json(
                {
                    "user": entry.name,
                    "utterances": entry.utterances,
                    "created": entry.created,
                    "updated": entry.updated,
                    "consent": {"when": entry.consent.when, "purpose": entry.consent.purpose},
                    "operating_point": entry.operating_point,
                    "stale": stale,
                }
            )
            continue
        note = "  made with another model: re-enroll" if stale else ""
        click.echo(f"{entry.name}  {entry.utterances} utterances, {entry.updated}{note}")


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def remove(session: Session, name: str, yes: bool) -> None:
    """Erase NAME's template; what remains is sealed under a new key."""
    vault = session.vault
    if not yes:
        click.confirm(f"Erase the template of {name}?", abort=True, err=True)
    with _told_of_shared_key(vault):
        vault.remove(name)
    click.echo(f"removed: {name}")


@click.command()
@click.argument("name", required=False)
@click.pass_obj
def enable(session: Session, name: str | None) -> None:
    """Let attempts be made again at once: on NAME, or on everybody.

    Ends a wait and the stop after too many failures, and begins the idle limit anew. Takes the key.
    """
    session.vault.enable(name)
    click.echo(f"enabled: {name or 'everybody'}")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def export(session: Session, file: Path) -> None:
    """Write the vault to FILE under a passphrase of its own."""
    session.vault.export(file, Passphrase(passphrase_asker("Passphrase of the export", new=True)))
    click.echo(f"exported: {file}")


@click.command(name="import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@key_source_option
@click.pass_obj
def import_(session: Session, file: Path, kind: str) -> None:
    """Make a new vault from an exported FILE."""
    from edge_unlock.vault import Vault

    passphrase = Passphrase(passphrase_asker("Passphrase of the export", new=False))
    policy = session.first_policy()
    key_source = session.key_source(kind, new=True)
    with Vault.import_(session.home, file, passphrase, key_source, policy) as vault:
        _warn_of_key_place(vault)
    click.echo(f"imported: {session.home} (key source: {kind})")


@click.command()
@key_source_option
@click.pass_obj
def rekey(session: Session, kind: str) -> None:
    """Change what opens the vault: another passphrase, or another kind of key."""
    vault = session.vault
    with _told_of_shared_key(vault):
        vault.rekey(session.key_source(kind, new=True))
    _warn_of_key_place(vault)
    click.echo(f"rekeyed: {session.home} (key source: {kind})")


def _warn_of_key_place(vault: Vault) -> None:
    """Say so where the key protects nothing."""
    if vault.key_lies_within:
        from edge_unlock.doctor import KEY_WITHIN_HINT

        click.echo(
            "edge-unlock: warning: the key lies in the state directory: who copies that has both",
            err=True,
        )
        click.echo(f"hint: {KEY_WITHIN_HINT}", err=True)


@contextmanager
def _told_of_shared_key(vault: Vault) -> Iterator[None]:
    """Say, after a change, that a key file of an earlier release was not destroyed."""
    shared = vault.key_may_be_shared
    yield
    if shared:
        click.echo(
            "edge-unlock: the former key file stays, for it may open other vaults: delete it if "
            "it opens none",
            err=True,
        )
