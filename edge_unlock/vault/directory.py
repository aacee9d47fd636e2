"""A private directory: mode 0700, every file in it 0600, one writer at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from edge_unlock import files
from edge_unlock.errors import AuthenticationError, VaultError, VaultMissingError

_TRIAL_BYTES = 16 * 1024  # more than the counters, the log's end and a line take together


class Directory:
    """A directory held by its descriptor, so that a later change of its path has no effect."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._within: list[Directory] = []
        self.path = path

    @classmethod
    def open(cls, path: Path, *, within: int | None = None) -> "Directory":
        """Open ``path``, or its last part relative to the descriptor ``within``.

        Raises VaultMissingError when there is none, VaultError when it is a symbolic link,
        belongs to another user, may be used by others, or lies where all may write.
        """
        if within is None:
            files.check_parents(path)
        with files.os_errors(str(path)):
            name = path if within is None else path.name
            descriptor = os.open(name, files.DIRECTORY_FLAGS, dir_fd=within)
            try:
                files.check_private(os.fstat(descriptor), str(path))
            except VaultError:
                os.close(descriptor)
                raise
        return cls(descriptor, path)

    @classmethod
    def create(cls, path: Path) -> "Directory":
        """Make the directory if it is missing, then open it; errors as of ``open``."""
        with files.os_errors(str(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700, exist_ok=True)
        return cls.open(path)

    def subdirectory(self, name: str, *, create: bool = False) -> "Directory":
        """Open a directory within this one; AuthenticationError when it is missing."""
        path = self.path / name
        if create:
            # A creation that crashed may have left it; open() checks what it is.
            with files.os_errors(str(path)), suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self._descriptor)
        try:
            inner = self.open(path, within=self._descriptor)
        except VaultMissingError as error:
            raise self._missing(name) from error
        self._within.append(inner)
        return inner

    def close(self) -> None:
        """Release this and what was opened within it; later use raises VaultError."""
        for inner in self._within:
            inner.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @contextmanager
    def locked(self, *, shared: bool = False) -> Iterator[None]:
        """Wait for the directory's lock: against other processes and other threads."""
        with files.os_errors(str(self.path)):
            # A description of its own: locks of one open file description do not exclude each other
            lock = os.open(".", files.DIRECTORY_FLAGS, dir_fd=self._descriptor)
            try:
                fcntl.flock(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
                yield
            finally:
                os.close(lock)

    def names(self) -> list[str]:
        """Return the names of what is in the directory."""
        with files.os_errors(str(self.path)):
            return os.listdir(self._descriptor)  # noqa: PTH208  # pathlib has no descriptors

    def read(self, name: str, limit: int) -> bytes:
        """Return a file's bytes; AuthenticationError when missing or longer than ``limit``."""
        try:
            return files.read(name, self._descriptor, self._noun(name), limit)
        except VaultMissingError as error:
            raise self._missing(name) from error

    @contextmanager
    def opened(self, name: str, *, writable: bool = False) -> Iterator[BinaryIO]:
        """Open an existing file; AuthenticationError when it is missing."""
        noun = self._noun(name)
        try:
            with files.opened(name, self._descriptor, noun, writable=writable) as handle:
                yield handle
        except VaultMissingError as error:
            raise self._missing(name) from error

    def replace(self, name: str, data: bytes) -> None:
        """Write a file as a whole, durably."""
        files.replace(name, self._descriptor, self._noun(name), data)

    def check_writable(self) -> None:
        """Write a file as ``replace`` does, and delete it; VaultError when that is impossible."""
        files.try_write(self._descriptor, str(self.path), bytes(_TRIAL_BYTES))

    def remove(self, name: str) -> None:
        """Delete a file."""
        with files.os_errors(self._noun(name)):
            os.unlink(name, dir_fd=self._descriptor)

    def sweep(self) -> None:
        """Delete what writes that a crash cut short have left; to be called under the lock."""
        for name in filter(files.is_temporary, self.names()):
            self.remove(name)

    def _noun(self, name: str) -> str:
        return str(self.path / name)

    def _missing(self, name: str) -> AuthenticationError:
        return AuthenticationError(
            f"{self._noun(name)} is missing, though the vault needs it",
            "restore the vault from a backup, or remove it and enroll again",
        )
