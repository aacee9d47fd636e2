"""Commands about the installation itself: devices, doctor, demo, bench, version."""

from dataclasses import asdict

import click

from edge_unlock.cli.printing import print_json
from edge_unlock.cli.session import Session
from edge_unlock.errors import DeviceError

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")


@click.command()
@json_option
def devices(as_json: bool) -> None:
    """List the microphones."""
    from edge_unlock.audio import list_devices

    found = list_devices()
    if not found:
        raise DeviceError("no microphone found", "Plug one in, and check `arecord -l`.")
    for device in found:
        if as_json:
            print_json(asdict(device))
        else:
            mark = "*" if device.is_default else " "
            click.echo(
                f"{mark}{device.index:3}  {device.name}  "
                f"({device.channels} channels, {device.default_rate_hz} Hz)"
            )


@click.command()
@click.option("--device", help="Microphone: part of its name, or its index.")
@json_option
@click.pass_obj
@click.pass_context
def doctor(ctx: click.Context, session: Session, device: str | None, as_json: bool) -> None:
    """Check model, vault, key and microphone; exit 0 only if all is well."""
    from edge_unlock.doctor import examine
    from edge_unlock.service.socket import read_status

    passed = True
    for finding in examine(
        lambda: session.package,
        lambda: session.trust,
        lambda: session.vault,
        session.device(device),
        lambda: read_status(session.home),
    ):
        passed = passed and finding.passed
        if as_json:
            print_json(asdict(finding))
            continue
        click.echo(f"{'ok  ' if finding.passed else 'FAIL'}  {finding.check}: {finding.detail}")
        if finding.hint:
            click.echo(f"      hint: {finding.hint}")
    ctx.exit(0 if passed else 1)


@click.command()
def demo() -> None:
    """Enroll one synthetic voice, accept it, and reject another; needs no microphone."""
    from edge_unlock.demo import run_demo

    run_demo(click.echo)


@click.command()
@click.option(
    "--voices",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Identify a voice among so many made ones.",
)
@json_option
@click.pass_obj
def bench(session: Session, as_json: bool, voices: int) -> None:
    """Measure what each stage costs on this machine."""
    from edge_unlock.bench import measure
    from edge_unlock.encoder.encoder import Encoder

    # of any package, trusted or not: it decides nothing, and needs no vault
    for measurement in measure(Encoder(session.package), voices):
        if as_json:
            print_json(asdict(measurement))
        else:
            note = f"  ({measurement.note})" if measurement.note else ""
            click.echo(f"{measurement.stage:32} {measurement.value:8.4f} {measurement.unit}{note}")


@click.command()
@click.pass_obj
def version(session: Session) -> None:
    """Print the version of edge-unlock and of its model."""
    from importlib.metadata import version as distribution_version

    manifest = session.package.manifest
    click.echo(f"edge-unlock {distribution_version('edge-unlock')}")
    click.echo(f"model {manifest.name} {manifest.version}")
