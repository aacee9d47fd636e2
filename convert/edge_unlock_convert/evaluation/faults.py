"""What is wrong with a list, line by line."""

from pathlib import Path

from edge_unlock_convert.errors import SpeechError

SHOWN = 50
HINT = "Nothing was computed. Repair these lines, or take them out."


class Faults:
    """Collects the faults of a file, so that all of them can be shown at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[int, str] = {}

    def add(self, number: int, text: str) -> None:
        """Note what is wrong with a line; the first fault of each counts."""
        self._found.setdefault(number, text)

    def check(self) -> None:
        """Raise ``SpeechError`` with a line for each fault, if there are any."""
        if not self._found:
            return
        lines = [f"{self._path}:{number}: {text}" for number, text in sorted(self._found.items())]
        count = f"{len(lines)} faults" if len(lines) > 1 else "a fault"
        if len(lines) > SHOWN:
            lines[SHOWN:] = [f"and {len(lines) - SHOWN} more"]
        raise SpeechError("\n".join([f"{self._path} has {count}:", *lines]), HINT)
