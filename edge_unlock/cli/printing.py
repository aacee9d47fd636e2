"""What is printed for machines."""

from typing import Any

import click


def print_json(fields: dict[str, Any]) -> None:
    """Print one JSON object on a line of its own, at once, in UTF-8 whatever the terminal's is.

    A file name that is no UTF-8 shows its strange bytes as ``\\xE9``.
    """
    import msgspec

    click.echo(msgspec.json.encode(_printable(fields)))


def _printable(value: Any) -> Any:
    """The same with strings that UTF-8 can say."""
    if isinstance(value, str):
        return value.encode(errors="surrogateescape").decode(errors="backslashreplace")
    if isinstance(value, dict):
        return {key: _printable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(one) for one in value]
    return value
