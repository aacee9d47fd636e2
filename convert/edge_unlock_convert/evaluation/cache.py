"""What was heard, on disk: nothing is computed twice, and a run that was killed goes on."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import platformdirs

from edge_unlock.closing import Closing
from edge_unlock.encoder.features import Float32
from edge_unlock_convert.errors import ConversionError

FILE_NAME = "embeddings.sqlite"
ROW_TYPE = np.dtype("<f4")


def usual_directory() -> Path:
    """Where a user's caches belong."""
    return Path(platformdirs.user_cache_dir("edge-unlock"))


class Cache(Closing):
    """Rows of numbers by name, in a directory that is its owner's alone.

    Raises ``ConversionError`` where that cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE_NAME
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection = sqlite3.connect(self.path, timeout=60)
            self.path.chmod(0o600)  # embeddings of voices are nobody else's business
            with self._connection:
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute(
                    "CREATE TABLE IF NOT EXISTS rows (name TEXT PRIMARY KEY, row BLOB NOT NULL)"
                )
        except (OSError, sqlite3.Error) as error:
            raise ConversionError(
                f"cannot use the cache {self.path}: {error}", "Name another by --cache."
            ) from error

    def get(self, names: Sequence[str]) -> dict[str, Float32]:
        """The rows that are there."""
        found = {}
        with closing(self._connection.cursor()) as cursor:
            for name in names:
                row = cursor.execute("SELECT row FROM rows WHERE name = ?", (name,)).fetchone()
                if row is not None:
                    found[name] = np.frombuffer(row[0], ROW_TYPE)
        return found

    def put(self, rows: Iterable[tuple[str, Float32]]) -> None:
        """Keep rows, all of them or none. Raises ``ConversionError`` where the disk is full."""
        try:
            with self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO rows VALUES (?, ?)",
                    [(name, row.astype(ROW_TYPE).tobytes()) for name, row in rows],
                )
        except sqlite3.Error as error:
            raise ConversionError(
                f"cannot write the cache {self.path}: {error}", "Make room, or name another."
            ) from error

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        self._connection.close()
