"""What a person sees while a command works, and after."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def stage(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a stage of the work on stderr, with a bar where its size is known.

    Gives the function that is told how much more was done. Nothing is shown where stderr is
    no terminal.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.advance(task, done)


def show(
    rows: Sequence[tuple[str, ...]], title: str, columns: tuple[str, ...] = ("figure", "value")
) -> None:
    """Print a table on stdout, as ``printable`` text."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, title=Text(printable(title)), title_justify="left")
    for column in table.columns:
        column.overflow = "fold"  # a hash is of use whole
    for row in rows:
        table.add_row(*map(Text, map(printable, row)))
    console = Console()
    console.print(table, soft_wrap=not console.is_terminal)


def printable(text: str) -> str:
    """One line that a terminal shows and does not obey.

    The names of layers are those of a checkpoint, which may have been made to deceive.
    """
    line = " ".join(text.split())
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)
