"""``compare-recordings`` and ``verify-report``: the strength of evidence, and who signed it."""

import os
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_unlock_convert.errors import ConversionError
from edge_unlock_convert.writing import make_directory, write

if TYPE_CHECKING:
    from edge_unlock_convert.forensic.subject import Subject

PATH = click.Path(path_type=Path)
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
EXISTING = click.Path(path_type=Path, exists=True)
EPOCH = "SOURCE_DATE_EPOCH"
OF_RESULT = (
    *("known", "population", "split", "sessions", "package", "cut", "language"),
    *("population_note", "draws"),
)
"""Options on which the report depends, in the order in which it names them."""


@click.command()
@click.argument("questioned", type=PATH, nargs=-1, required=True)
@click.option("--known", type=FOLDER, required=True, help="Recordings of the known speaker.")
@click.option(
    "--population",
    type=EXISTING,
    required=True,
    help="Who else might have spoken: a folder a speaker, or a manifest. Nobody of the case.",
)
@click.option("--split", help="Split of a manifest [default: all of it].")
@click.option(
    "--sessions", help="The population's: a table, or `folders`, as for evaluate --sessions."
)
@click.option("--package", type=EXISTING, help="The model package [default: the one that ships].")
@click.option("--out", type=PATH, required=True, help="Write the report's files here.")
@click.option(
    "--cut", type=click.FloatRange(0.5, 600), help="Compare so many seconds of each, its middle."
)
@click.option("--language", default="", help="Language and accent, where they are known.")
@click.option("--population-note", default="", help="Whom the population represents, and why.")
@click.option("--key", type=PATH, help="Sign the report: Ed25519, PEM, mode 0600.")
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes [default: one a core].")
@click.option("--cache", type=PATH, help="Keeps what was heard [default: the user's cache].")
@click.option(
    "--draws",
    type=click.IntRange(20, 10_000),
    default=200,
    show_default=True,
    help="Resamplings for the intervals.",
)
def compare_recordings(**options: Any) -> None:
    """Tell how strongly QUESTIONED recordings support that the known speaker spoke in them.

    Writes a report (HTML, PDF, JSON) with a likelihood ratio, and its validation on the
    population in the conditions of the case. The same inputs give the same bytes; a date is in
    them only if SOURCE_DATE_EPOCH says it.
    """
    from edge_unlock.encoder.package import ModelPackage
    from edge_unlock_convert.evaluation.cache import Cache, usual_directory
    from edge_unlock_convert.evaluation.extraction import local_workers
    from edge_unlock_convert.evaluation.measurement import Means
    from edge_unlock_convert.evaluation.report import PAGE
    from edge_unlock_convert.forensic import case, paper, reporting, seal
    from edge_unlock_convert.forensic.comparison import Comparer
    from edge_unlock_convert.packaging.signing import read_private_key
    from edge_unlock_convert.terminal import stage

    paper.check_library()
    made = _date()
    key = None if options["key"] is None else read_private_key(options["key"])
    package = ModelPackage.load(options["package"])
    people = case.Population(options["population"], options["split"], options["sessions"])
    with stage("looking through the recordings", None):
        found = case.read(options["questioned"], options["known"], people)
    make_directory(options["out"])
    with (
        Cache(options["cache"] or usual_directory()) as cache,
        local_workers(options["workers"]) as workers,
    ):
        means = Means(cache, workers, stage, options["draws"])
        compared = Comparer(package, found, options["cut"], means).compare()
    files = reporting.files(compared, _subject(package, options, made, key), made, key)
    # one of an earlier report would not be of this one
    (options["out"] / seal.SIGNATURE).unlink(missing_ok=True)
    for name, data in files.items():
        write(options["out"] / name, data)
    click.echo(f"wrote {options['out'] / PAGE}", err=True)
    click.echo(reporting.summary(compared), nl=False)


@click.command()
@click.argument("report", type=FOLDER)
@click.option("--key", type=PATH, required=True, help="Public key: Ed25519, PEM.")
def verify_report(report: Path, key: Path) -> None:
    """Check that the files of REPORT are as the owner of the key signed them."""
    from edge_unlock_convert.forensic import seal

    named = seal.check(report, key)
    click.echo(f"{report}: {', '.join(named)}: good signature", err=True)


def _subject(package: Any, options: dict[str, Any], made: datetime | None, key: Any) -> "Subject":
    from edge_unlock.encoder.package import shipped_package
    from edge_unlock_convert.forensic.checklist import Said
    from edge_unlock_convert.forensic.subject import Subject, fingerprint

    return Subject(
        package,
        options["package"] or Path(shipped_package().name),
        _command(options),
        Said(options["population_note"], options["language"]),
        "" if made is None else made.isoformat(),
        "" if key is None else fingerprint(key.public_key()),
    )


def _command(options: dict[str, Any]) -> str:
    """The command without what does not change the report."""
    words = ["edge-unlock-convert", "compare-recordings", *map(str, options["questioned"])]
    for name in OF_RESULT:
        if options[name] not in (None, ""):
            words += [f"--{name.replace('_', '-')}", str(options[name])]
    return shlex.join(words)


def _date() -> datetime | None:
    """What SOURCE_DATE_EPOCH says (reproducible-builds.org), None where it is not set."""
    said = os.environ.get(EPOCH)
    if said is None:
        return None
    try:
        return datetime.fromtimestamp(int(said), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ConversionError(
            f"{EPOCH} is no number of seconds: {said!r}", "Unset it, or give seconds since 1970."
        ) from error
