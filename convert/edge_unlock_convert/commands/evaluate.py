"""``evaluate``: the error rates of a package on anybody's speech."""

from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_unlock_convert.writing import make_directory, write

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from edge_unlock.encoder.package import ModelPackage
    from edge_unlock_convert.evaluation.design import Design
    from edge_unlock_convert.evaluation.extraction import Workers
    from edge_unlock_convert.evaluation.listening import System

PATH = click.Path(path_type=Path)
EXISTING = click.Path(path_type=Path, exists=True)
ENROLLED = 3
"""Utterances that make a template, as on the device."""
OF_ANYBODY = ("trials", "split", "sessions", "enroll", "cuts", "out", "workers", "scheduler")
"""Options that do not go with ``--checkpoint``."""


@click.command()
@click.argument("package", type=EXISTING)
@click.option(
    "--speech",
    type=EXISTING,
    help="A folder a speaker, or a manifest; with --trials where its recordings lie [default: "
    "beside the list]; with --checkpoint a manifest with the splits eval, train and noise.",
)
@click.option(
    "--trials", type=EXISTING, help="A list: `1 enroll.wav test.wav`, or Kaldi's with its wav.scp."
)
@click.option("--split", help="Split of a manifest [default: all of it; with --checkpoint: eval].")
@click.option(
    "--sessions",
    help="A table of the columns path and session (or call, day), or `folders` for speech in "
    "speaker/session/*.wav: speakers are then compared with another session of theirs.",
)
@click.option(
    "--enroll",
    type=click.IntRange(1, 100),
    help="Utterances that make a template; a list of trials says it itself [default: 3]",
)
@click.option(
    "--cut", "cuts", type=click.FloatRange(0.5, 60), multiple=True, help="Compare so many seconds."
)
@click.option("--out", type=PATH, help="Write report.html, its pictures and figures.json here.")
@click.option("--json", "output", type=PATH, help="Write the figures to this file.")
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes [default: one a core].")
@click.option("--scheduler", metavar="ADDRESS", help="Of a Dask cluster that hears the speech.")
@click.option("--cache", type=PATH, help="Keeps what was heard [default: the user's cache].")
@click.option(
    "--system", "others", multiple=True, metavar="NAME=module:function", help="Another encoder."
)
@click.option(
    "--draws",
    type=click.IntRange(0, 10_000),
    default=100,
    show_default=True,
    help="Resamplings for the intervals.",
)
@click.option(
    "--checkpoint",
    type=EXISTING,
    help="The directory of this project's training that the package was made of: tells of noise, "
    "rooms and decisions, too.",
)
@click.option("--card", is_flag=True, help="Write the tables into the package's card.")
def evaluate(**options: Any) -> None:
    """Measure a package beside other encoders, and print the tables.

    Any package on any speech that names its speakers, or on a list of trials. What was heard is
    kept: the same command goes on where it was interrupted.
    """
    if options["checkpoint"] is not None:
        _of_training(options)
        return
    if options["card"]:
        raise click.UsageError("--card belongs to --checkpoint.")
    if options["speech"] is None and options["trials"] is None:
        raise click.UsageError("Give --speech, or a list of --trials.")
    if options["trials"] is not None and options["enroll"] is not None:
        raise click.UsageError("--enroll makes trials of speech, and --trials has its own.")
    if options["trials"] is not None and options["sessions"] is not None:
        raise click.UsageError("With --trials, sessions are those of the manifest's column.")
    if options["scheduler"] is not None and options["workers"] is not None:
        raise click.UsageError("--workers are of this machine, and --scheduler has its own.")
    _of_anybody(options)


def _of_training(options: dict[str, Any]) -> None:
    from edge_unlock_convert.commands.recipe import evaluate_training

    given = [name for name in OF_ANYBODY if options[name]]
    if given or options["cache"] is None or options["speech"] is None:
        raise click.UsageError(
            "--checkpoint needs --speech and --cache, and takes of the rest only --system, --json, "
            "--card and --draws."
        )
    evaluate_training(
        options["package"],
        options["speech"],
        options["checkpoint"],
        options["others"],
        options["cache"],
        options["output"],
        options["card"],
        options["draws"],
    )


def _of_anybody(options: dict[str, Any]) -> None:
    from edge_unlock.encoder.package import ModelPackage
    from edge_unlock_convert.evaluation.cache import Cache, usual_directory
    from edge_unlock_convert.evaluation.listening import System
    from edge_unlock_convert.evaluation.measurement import Means, evaluate
    from edge_unlock_convert.evaluation.text import text
    from edge_unlock_convert.terminal import stage

    package = ModelPackage.load(options["package"])
    systems = [System(package.manifest.name, package), *map(_other, options["others"])]
    if options["out"] is not None:
        make_directory(options["out"])
    with stage("looking through the speech", None):
        design = _design(options)
    cache = Cache(options["cache"] or usual_directory())
    with cache, _workers(options) as workers:
        means = Means(cache, workers, stage, options["draws"], sorted(set(options["cuts"])))
        found = evaluate(package, systems, design, means).about(_subject(package, options))
    if options["output"] is not None:
        write(options["output"], found.result.to_json())
    if options["out"] is not None:
        from edge_unlock_convert.evaluation import report

        for name, data in report.files(found).items():
            write(options["out"] / name, data)
        click.echo(f"wrote {options['out'] / report.PAGE}", err=True)
    click.echo(text(found.result), nl=False)


def _subject(package: "ModelPackage", options: dict[str, Any]) -> dict[str, str]:
    """What was measured, in words."""
    manifest = package.manifest
    said = {
        "package": f"{manifest.name}, version {manifest.version}",
        "SHA-256 of its manifest": package.manifest_sha256.hex(),
    }
    for name in ("speech", "split", "trials", "sessions"):
        if options[name] is not None:
            said[name] = str(options[name])
    if options["trials"] is not None:
        said["SHA-256 of the trials"] = sha256(options["trials"].read_bytes()).hexdigest()
    else:
        said["enrolled with"] = f"{options['enroll'] or ENROLLED} utterances"
    said["edge-unlock"] = version("edge-unlock")
    return said


def _workers(options: dict[str, Any]) -> "AbstractContextManager[Workers]":
    if options["scheduler"] is not None:
        from edge_unlock_convert.evaluation.cluster import cluster_workers

        return cluster_workers(options["scheduler"])
    from edge_unlock_convert.evaluation.extraction import local_workers

    return local_workers(options["workers"])


def _other(argument: str) -> "System":
    from edge_unlock_convert.evaluation.listening import System

    name, _, function = argument.partition("=")
    return System(name, None, function)


def _design(options: dict[str, Any]) -> "Design":
    from edge_unlock_convert.evaluation import material, trial_list
    from edge_unlock_convert.evaluation.design import all_pairs

    speech, trials = options["speech"], options["trials"]
    if trials is None:
        found = material.read(speech, options["split"], options["sessions"])
        return all_pairs(found, options["enroll"] or ENROLLED)
    known = {} if speech is None else material.by_path(speech, options["split"])
    root = speech if speech is None or speech.is_dir() else speech.parent
    return trial_list.read(trials, root, known)
