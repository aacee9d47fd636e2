"""What is wrong with a TOML file, in words for people, and in which line.

Neither tomllib nor msgspec keep where a value stood: they name a line of bad grammar only, and a
path such as ``$.actions[0].pin``. So the file is read again, one statement at a time and by tomllib
itself, until the one that the error speaks of.
"""

import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

MAX_STATEMENT_LINES = 200
"""Past a longer statement nothing is looked for: each of its lines has it parsed anew."""

MAX_DEPTH = 5
"""Settings are nested no deeper; what is comes from somebody who wants to see a stack overflow."""

Path = tuple[str | int, ...]

_LINE = re.compile(r"\(at line (\d+), column \d+\)$")
_END = "(at end of document)"
_AT = re.compile(r" - at `\$\.?(.*)`$")
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_UNKNOWN = re.compile(r"unknown field `(.*?)`(?: - at `|$)")
_KINDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}
_BOUNDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
_WORDS = (
    (
        re.compile(r"Expected `(?P<kinds>[^`]*)`, got `(?P<got>[^`]*)`"),
        "must be {kinds}, not {got}",
    ),
    (re.compile(r"Expected `array` of length >= 1"), "must not be empty"),
    (re.compile(r"Expected `str` of length >= 1"), "must not be empty"),
    (re.compile(r"Expected `\w+` of length <= (?P<number>\d+)"), "is longer than {number}"),
    (
        re.compile(r"Expected `(?P<kinds>\w+)` (?P<bound>[<>]=?) (?P<number>[\d.e+-]+)"),
        "must be {kinds} of {bound} {number}",
    ),
    (re.compile(r"Expected `str` matching regex"), "has characters that it must not have"),
    (re.compile(r"Invalid value (?P<got>'.*?')"), "cannot be {got}"),
    (
        re.compile(r"Object contains unknown field `(?P<got>.*?)`"),
        "there is no such setting: {got}",
    ),
    (re.compile(r"Object missing required field `(?P<got>.*?)`"), "{got} is missing"),
)
"""What msgspec says, and how it is said of a setting."""


def line_of(data: bytes, error: Exception) -> int | None:
    """The line (from 1) of ``data`` that ``error`` is about: of tomllib, msgspec or decoding.

    A value of several lines has its first; what is missing, that of the table it is missed in. None
    where there is none to name.
    """
    if isinstance(error, UnicodeDecodeError):
        return data[: error.start].count(b"\n") + 1
    said = str(error)
    if told := _LINE.search(said):
        return int(told[1])
    statements = _Statements(data.decode(errors="replace"))
    lines: dict[Path, int] = {}
    try:
        for path in statements:
            lines.setdefault(path, statements.line)
    except (ValueError, RecursionError):  # a number or a nesting that Python refuses
        return statements.line
    if said.endswith(_END):
        return statements.line
    path = _path(said)
    known = (lines.get(path[:length]) for length in range(len(path), 0, -1))
    return next((line for line in known if line is not None), None)


def words_of(error: Exception) -> str:
    """What is wrong, of msgspec's error, in words that name the setting as the file does."""
    said = str(error)
    for pattern, words in _WORDS:
        if found := pattern.match(said):
            parts = {key: _kinds(key, value) for key, value in found.groupdict().items()}
            place = _place(said)
            return f"{place}: {words.format(**parts)}" if place else words.format(**parts)
    return said


def _kinds(key: str, value: str) -> str:
    if key == "kinds":
        return " or ".join(_KINDS.get(one, one) for one in value.split(" | ") if one != "null")
    if key == "number":
        return f"{float(value):g}"
    return _BOUNDS.get(value, _KINDS.get(value, value))


def _place(said: str) -> str:
    """Where, by the names of the file and counted from 1: ``actions, no. 2, topic``."""
    at = _AT.search(said)
    steps = [] if at is None else _STEP.findall(at[1])
    return ", ".join(f"no. {int(index) + 1}" if index else key for index, key in steps)


def _path(said: str) -> Path:
    """What msgspec's message is about, as keys and indices; empty for the file itself."""
    at = _AT.search(said)
    steps = [] if at is None else _STEP.findall(at[1])
    path: Path = tuple(int(index) if index else key for index, key in steps)
    unknown = _UNKNOWN.search(said)
    return path if unknown is None else (*path, unknown[1])


class _Statements:
    """Iterates over the paths that a text sets; ``line`` is where the statement began that does."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._table: Path = ()
        self._lengths: dict[Path, int] = {}  # of arrays of tables, so far
        self._end = 0
        self.line = 1

    def __iter__(self) -> Iterator[Path]:
        while (document := self._next()) is not None:
            header = self._lines[self.line - 1].lstrip()
            if header.startswith("["):
                self._table = self._entered(document, is_array=header.startswith("[["))
                yield from (self._table[:length] for length in range(1, len(self._table) + 1))
            else:
                yield from ((*self._table, *path) for path in _paths(document, MAX_DEPTH))

    def _next(self) -> dict[str, Any] | None:
        """What the next statement says; None at the end, and where one does not end."""
        start = self._end
        for end in range(start + 1, min(len(self._lines), start + MAX_STATEMENT_LINES) + 1):
            self.line = start + 1
            with suppress(tomllib.TOMLDecodeError):  # it goes on in the next line
                document = tomllib.loads("\n".join(self._lines[start:end]) + "\n")
                self._end = end
                return document
        return None

    def _entered(self, document: Any, *, is_array: bool) -> Path:
        """The path of the table that a header begins."""
        path: Path = ()
        while isinstance(document, dict) and document and len(path) < MAX_DEPTH:
            ((key, document),) = document.items()
            path = (*path, key)
            if is_array and isinstance(document, list):
                self._lengths[path] = self._lengths.get(path, 0) + 1
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
        return path


def _paths(value: Any, depth: int) -> Iterator[Path]:
    """The path of everything in a value."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items if depth else ():
        yield (key,)
        for path in _paths(inner, depth - 1):
            yield (key, *path)
