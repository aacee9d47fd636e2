"""Options that several commands have."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import click

F = TypeVar("F", bound=Callable[..., Any])


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")

input_option = click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="FILE",
    help="Hear a recording (WAV, FLAC, Ogg) instead of the microphone; repeatable. "
    "- is raw 16-bit 16 kHz mono PCM on standard input.",
)

device_option = click.option("--device", help="Microphone: part of its name, or its index.")


def input_options(command: F) -> F:
    """Add ``--device``, ``--input`` and ``--json``: the options of every command that hears."""
    for option in (json_option, input_option, device_option):
        command = option(command)
    return command


def rate_options(help_text: str) -> Callable[[F], F]:
    """Add ``--operating-point`` and ``--far``, of which the command gets the first's name."""

    def add(command: F) -> F:
        @wraps(command)
        def run(*args: Any, operating_point: str | None, far: float | None, **options: Any) -> Any:
            if far is not None:
                from edge_unlock.scoring.scorer import rate_name

                if operating_point is not None:
                    raise click.UsageError("--operating-point and --far exclude each other")
                operating_point = rate_name(far)
            return command(*args, operating_point=operating_point, **options)

        for option in (
            click.option(
                "--far",
                type=float,
                metavar="RATE",
                help="The same by any rate: 0.003 lets in 3 of 1,000 strangers.",
            ),
            click.option("--operating-point", metavar="NAME", help=help_text),
        ):
            run = option(run)
        return cast(F, run)

    return add


operating_point_options = rate_options(
    "Decide at a false-accept rate, by its name.  [default: the person's, else the installation's]"
)

scores_option = click.option(
    "--show-scores",
    is_flag=True,
    help="Tell scores, not only how well a voice matched. Who can read them gets in more easily.",
)


def timeout_option(default_s: float | None) -> Callable[[F], F]:
    """How long the microphone, or a stream on standard input, is heard."""
    return click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        default=default_s,
        show_default=default_s is not None,
        help="Stop hearing a microphone or a stream after so long.",
    )
