"""The speech of an evaluation: who speaks, in which session, and whether all of it is there."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_unlock.errors import ConfigError
from edge_unlock_convert.corpus import SUFFIXES, Utterance, fault_of, read_corpus
from edge_unlock_convert.errors import SpeechError
from edge_unlock_convert.evaluation.faults import Faults

FOLDERS = "folders"
"""Instead of a table of sessions: the speech lies in ``speaker/session/*.wav``."""
SESSION_COLUMNS = ("session", "call", "day")
HINT = "Give a folder a speaker, or a manifest that names them."


def read(source: Path, split: str | None, sessions: str | None) -> list[Utterance]:
    """The recordings whose speakers are named, with their sessions.

    ``sessions`` is a table, or ``FOLDERS``. Raises ``SpeechError`` where there are none, or some
    are not there or not audio.
    """
    if sessions == FOLDERS:
        found = _session_folders(source)
    else:
        try:
            found = read_corpus(source, split)
        except ConfigError as error:
            raise SpeechError(str(error), error.hint if source.is_file() else HINT) from error
    named = [one for one in found if one.is_labelled]
    if not named:
        raise SpeechError(f"no recording of {source} has a speaker's name", HINT)
    faults = Faults(source)
    for number, one in enumerate(named, start=1):
        fault = fault_of(one.path)
        if fault is not None:
            faults.add(number, fault)
    faults.check()
    if sessions is None or sessions == FOLDERS:
        return named
    base = source if source.is_dir() else source.parent
    return _with_sessions(named, _table(Path(sessions), base))


def by_path(source: Path, split: str | None) -> Mapping[Path, Utterance]:
    """What a manifest tells of recordings, for a list of trials that names them."""
    if source.is_dir():
        return {}
    return {one.path: one for one in read_corpus(source, split) if one.is_labelled}


def _session_folders(root: Path) -> list[Utterance]:
    return [
        Utterance(
            path,
            "",
            root.name,
            f"{root.name}/{path.parent.parent.name}",
            session=path.parent.name,
        )
        for path in sorted(root.glob("*/*/*"))
        if path.suffix.lower() in SUFFIXES
    ]


def _with_sessions(found: Sequence[Utterance], table: Mapping[Path, str]) -> list[Utterance]:
    if not any(one.path in table for one in found):
        raise SpeechError(
            "the table of sessions names none of these recordings",
            "Its paths are relative to its own folder, or to that of the speech.",
        )
    return [one._replace(session=table.get(one.path, one.session)) for one in found]


def _table(path: Path, base: Path) -> dict[Path, str]:
    """The sessions of recordings, whose paths are relative to ``base`` or to the table."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file, delimiter="\t")
            named = rows.fieldnames or ()
            column = next((name for name in SESSION_COLUMNS if name in named), None)
            if column is None or "path" not in named:
                raise SpeechError(
                    f"{path} lacks the column path or one of {', '.join(SESSION_COLUMNS)}",
                    "The first line names the columns, with tabs between them.",
                )
            return {root / row["path"]: row[column] for row in rows for root in (base, path.parent)}
    except (OSError, UnicodeDecodeError) as error:
        raise SpeechError(f"cannot read {path}: {error}", "Give a table of sessions.") from error
