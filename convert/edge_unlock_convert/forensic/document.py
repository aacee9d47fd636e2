"""A report as a sequence of blocks, from which a page and a paper are made."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from matplotlib.figure import Figure


class Heading(NamedTuple):
    """The title of a section."""

    text: str


class Paragraph(NamedTuple):
    """Sentences; ``weighty`` ones stand out."""

    text: str
    weighty: bool = False


class Items(NamedTuple):
    """A list of sentences."""

    texts: Sequence[str]


class Table(NamedTuple):
    """Rows of cells; the first row is the head, and left out where all its cells are empty.

    ``widths`` are the columns' shares of the width, on paper.
    """

    rows: Sequence[Sequence[str]]
    widths: Sequence[int] = ()


class Pictures(NamedTuple):
    """Pictures side by side, each with what it shows."""

    shown: Sequence[tuple[Figure, str]]


Block: TypeAlias = Heading | Paragraph | Items | Table | Pictures


class Document(NamedTuple):
    """A title and what follows."""

    title: str
    blocks: Sequence[Block]
