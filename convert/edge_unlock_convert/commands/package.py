"""``inspect``, ``sign``, ``verify`` and ``pin``: what is done with a finished package."""

from pathlib import Path

import click

from edge_unlock_convert.terminal import show

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("package", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, the whole manifest included.")
def inspect(package: Path, as_json: bool) -> None:
    """Show what PACKAGE is made of: manifest, operators, tensor types, size, multiplications."""
    from edge_unlock_convert.packaging import inspection

    found = inspection.inspect(package)
    if as_json:
        click.echo(found.to_json(), nl=False)
    else:
        show(found.rows(), str(package))


@click.command()
@click.argument("package", type=PATH)
@click.option("--key", type=PATH, required=True, help="Private key: Ed25519, PEM, mode 0600.")
@click.option("--new-key", is_flag=True, help="Make the key first, and its public key FILE.pub.")
def sign(package: Path, key: Path, new_key: bool) -> None:
    """Sign the manifest of PACKAGE; devices that trust the key accept it."""
    from edge_unlock_convert.packaging import signing

    if new_key:
        public = signing.make_key(key)
        click.echo(f"made {key} (keep it secret) and {public} (for the devices)", err=True)
    click.echo(f"wrote {signing.sign(package, key)}", err=True)


@click.command()
@click.argument("package", type=PATH)
@click.option("--key", type=PATH, required=True, help="Public key: Ed25519, PEM.")
def verify(package: Path, key: Path) -> None:
    """Check that PACKAGE is whole and that the owner of the key signed it."""
    from edge_unlock.encoder.package import ModelPackage

    manifest = ModelPackage.load(package, trusted_key=key).manifest
    click.echo(f"{package}: {manifest.name}, version {manifest.version}: good signature", err=True)


@click.command()
@click.argument("package", type=PATH)
def pin(package: Path) -> None:
    """Make PACKAGE the one that ships: write the SHA-256 of its manifest into edge-unlock.

    To be done in a checkout of the sources, after `ship` or `thresholds` changed the package.
    """
    from edge_unlock_convert.packaging import pin as pinning

    click.echo(f"wrote {pinning.pin(package)}", err=True)
