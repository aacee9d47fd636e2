"""Private files, written whole or not at all.

All opening goes through a directory's descriptor with O_NOFOLLOW, so that nobody can
swap a path for a symbolic link between a check and its use.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from edge_unlock.errors import AuthenticationError, VaultError, VaultExistsError, VaultMissingError

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a planted FIFO must not hang.
_FILE_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NEW_FILE_FLAGS = _FILE_FLAGS | os.O_WRONLY | os.O_CREAT | os.O_EXCL
# FAT and exFAT, as on most memory sticks: EPERM; some network file systems: the others (link(2)).
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)
_TEMPORARY_PREFIX = ".new-"


@contextmanager
def os_errors(noun: str) -> Iterator[None]:
    """Turn an OSError on ``noun`` into a VaultError of one line."""
    try:
        yield
    except VaultError:  # some are OSErrors too, and have said it better already
        raise
    except FileNotFoundError as error:
        raise VaultMissingError(f"{noun} does not exist") from error
    except FileExistsError as error:
        raise VaultExistsError(f"{noun} exists already", "name another, or remove it") from error
    except OSError as error:
        raise VaultError(
            f"cannot use {noun}: {error.strerror}",
            "check that it is not a symbolic link, that the disk is not full or read-only, "
            "and that you own it",
        ) from error


def check_private(info: os.stat_result, noun: str) -> None:
    """Raise VaultError unless ``info`` is of something that its owner alone, who is us, may use."""
    if info.st_uid != os.geteuid():
        raise VaultError(
            f"{noun} belongs to user id {info.st_uid}, not to {os.geteuid()}",
            "run as the user that owns it",
        )
    if info.st_mode & 0o077:
        raise VaultError(
            f"{noun} is open to other users (mode {stat.S_IMODE(info.st_mode):04o})",
            f"chmod go= {noun}",
        )


@contextmanager
def opened(
    name: str, directory: int, noun: str, *, writable: bool = False, private: bool = True
) -> Iterator[BinaryIO]:
    """Open the existing regular file ``name`` of the directory descriptor, unbuffered."""
    flags = _FILE_FLAGS | (os.O_RDWR if writable else os.O_RDONLY)
    with os_errors(noun):
        descriptor = os.open(name, flags, dir_fd=directory)
        with os.fdopen(descriptor, "r+b" if writable else "rb") as handle:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise VaultError(f"{noun} is not a regular file", "move it out of the way")
            if private:
                check_private(info, noun)
            yield handle


def read(name: str, directory: int, noun: str, limit: int, *, private: bool = True) -> bytes:
    """Return the whole file; AuthenticationError when it holds more than ``limit`` bytes."""
    with opened(name, directory, noun, private=private) as handle:
        data = handle.read(limit + 1)
    if len(data) > limit:
        raise AuthenticationError(f"{noun} is larger than {limit} bytes")
    return data


def replace(name: str, directory: int, noun: str, data: bytes) -> None:
    """Write the file as a whole: after a crash at any point it is the old one or the new."""
    with _temporary(directory, noun, data) as temporary:
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)


def create(name: str, directory: int, noun: str, data: bytes) -> None:
    """Write a new file as a whole; raises VaultExistsError when there is one."""
    with _temporary(directory, noun, data) as temporary:
        # Unlike rename, link never replaces.
        try:
            os.link(
                temporary, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False
            )
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            # Reserve the name, which fails where there is one; rename replaces our own empty file.
            os.close(os.open(name, _NEW_FILE_FLAGS, 0o600, dir_fd=directory))
            try:
                os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name, dir_fd=directory)
                raise
        else:
            os.unlink(temporary, dir_fd=directory)


def try_write(directory: int, noun: str, data: bytes) -> None:
    """Write a file as ``replace`` does, and delete it instead of naming it."""
    with _temporary(directory, noun, data) as temporary:
        os.unlink(temporary, dir_fd=directory)


def is_temporary(name: str) -> bool:
    """Say whether ``name`` is what a crash during a write leaves behind."""
    return name.startswith(_TEMPORARY_PREFIX)


@contextmanager
def parent_of(path: Path) -> Iterator[int]:
    """Open the directory of ``path``, which need not be private."""
    with os_errors(str(path.parent)):
        descriptor = os.open(path.parent, DIRECTORY_FLAGS & ~os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _temporary(directory: int, noun: str, data: bytes) -> Iterator[str]:
    """Write ``data`` to a new file of mode 0600, which the body must give its final name."""
    name = _TEMPORARY_PREFIX + secrets.token_hex(8)
    with os_errors(noun):
        descriptor = os.open(name, _NEW_FILE_FLAGS, 0o600, dir_fd=directory)
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(descriptor)
            yield name
        except BaseException:
            with suppress(OSError):
                os.unlink(name, dir_fd=directory)
            raise
        os.fsync(directory)
