"""What is printed as the result of a command."""

import os
import sys

import click

from edge_unlock.errors import OutputError


def say(line: str | bytes) -> None:
    """Print a line on standard output at once; bytes are printed as they are.

    What the encoding of the terminal lacks is escaped. Where standard output is closed nothing
    is printed: whoever closed it wants nothing.

    Raises:
        OutputError: standard output cannot be written.
        BrokenPipeError: nobody reads it any more.
    """
    if isinstance(line, str) and sys.stdout is not None:
        encoding = sys.stdout.encoding
        line = line.encode(encoding, "backslashreplace").decode(encoding)
    try:
        click.echo(line)
    except BrokenPipeError:  # click leaves quietly
        raise
    except OSError as error:
        # else the interpreter fails once more at its end, to write what is left in the buffer
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(
            f"standard output cannot be written: {error.strerror}",
            "What was decided and done stands. Make room, or send the output elsewhere.",
        ) from error
