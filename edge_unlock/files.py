"""Private files, written whole or not at all.

All opening goes through a directory's descriptor with O_NOFOLLOW, so that nobody can
swap a path for a symbolic link between a check and its use.
"""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from edge_unlock.errors import AuthenticationError, VaultError, VaultExistsError, VaultMissingError

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a planted FIFO must not hang; O_NOCTTY: nor a terminal become ours.
_OPEN_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_FILE_FLAGS = _OPEN_FLAGS | os.O_NOFOLLOW
_NEW_FILE_FLAGS = _FILE_FLAGS | os.O_WRONLY | os.O_CREAT | os.O_EXCL
# FAT and exFAT, as on most memory sticks: EPERM; some network file systems: the others (link(2)).
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)
_TEMPORARY_PREFIX = ".new-"
_ROOT = 0

Check = Callable[[os.stat_result, str], None]
"""Raises VaultError where owner or mode of an open file, which the text names, are unsafe."""


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
    _refuse_mode(info, noun, 0o077, "go=")


def check_secret(info: os.stat_result, noun: str) -> None:
    """Raise VaultError where others could read what is a secret of ours.

    What is ours must be ours alone; what another has given us, as root gives a service its
    credentials, may be readable by a group but not by all.
    """
    if info.st_uid == os.geteuid():
        _refuse_mode(info, noun, 0o077, "go=")
    _refuse_mode(info, noun, 0o027, "g-w,o=")


def check_trusted(info: os.stat_result, noun: str) -> None:
    """Raise VaultError unless nobody but root or us can have written what is there."""
    if info.st_uid not in (_ROOT, os.geteuid()):
        raise VaultError(
            f"{noun} belongs to user id {info.st_uid}, who could weaken what is decided",
            "chown it to root, or to the user that owns the vault",
        )
    _refuse_mode(info, noun, 0o022, "go-w")


def check_nothing(info: os.stat_result, noun: str) -> None:
    """Accept any owner and mode: for what is sealed, and may come on a stick without modes."""


def _refuse_mode(info: os.stat_result, noun: str, forbidden: int, remedy: str) -> None:
    if info.st_mode & forbidden:
        raise VaultError(
            f"{noun} is open to other users (mode {stat.S_IMODE(info.st_mode):04o})",
            f"chmod {remedy} {noun} (a file system without modes, such as FAT: mount it with "
            "umask=077)",
        )


def check_parents(path: Path) -> None:
    """Raise VaultError where others may put something else in the place of ``path``.

    That is a directory above it that all may write to; with the sticky bit, as of /tmp, only
    one whose next part belongs to somebody else. What is not there yet is not looked at.
    """
    with os_errors(str(path)):
        below = Path(os.path.realpath(path))
        for parent in below.parents:
            try:
                mode = parent.stat().st_mode
                owner = below.lstat().st_uid
            except FileNotFoundError:
                below = parent
                continue
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                raise VaultError(
                    f"{path} is not safe: all users may write to {parent}", f"chmod o-w {parent}"
                )
            if mode & stat.S_IWOTH and owner not in (_ROOT, os.geteuid()):
                raise VaultError(
                    f"{path} is not safe: {below} belongs to user id {owner}",
                    "choose a place that is yours",
                )
            below = parent


@contextmanager
def opened(
    name: str | Path,
    directory: int | None,
    noun: str,
    *,
    writable: bool = False,
    check: Check = check_private,
) -> Iterator[BinaryIO]:
    """Open the existing regular file ``name`` of the directory descriptor, unbuffered.

    Without ``directory`` the name is a path, in which symbolic links are followed.
    """
    flags = _OPEN_FLAGS if directory is None else _FILE_FLAGS
    with os_errors(noun):
        descriptor = os.open(
            name, flags | (os.O_RDWR if writable else os.O_RDONLY), dir_fd=directory
        )
        try:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise VaultError(f"{noun} is not a regular file", "move it out of the way")
            check(info, noun)
        except BaseException:
            os.close(descriptor)
            raise
        with os.fdopen(descriptor, "r+b" if writable else "rb") as handle:
            yield handle


def read(
    name: str | Path,
    directory: int | None,
    noun: str,
    limit: int,
    *,
    check: Check = check_private,
) -> bytes:
    """Return the whole file; AuthenticationError when it holds more than ``limit`` bytes."""
    with opened(name, directory, noun, check=check) as handle:
        data = handle.read(limit + 1)
    if len(data) > limit:
        raise AuthenticationError(f"{noun} is larger than {limit} bytes", "name the right file")
    return data


def read_path(path: Path, limit: int, check: Check) -> bytes:
    """Return a whole file that a person named; errors as of ``read`` and ``check_parents``."""
    check_parents(path)
    return read(path, None, str(path), limit, check=check)


def replace(name: str, directory: int, noun: str, data: bytes) -> None:
    """Write the file as a whole: after a crash at any point it is the old one or the new."""
    with _temporary(directory, noun, data) as temporary:
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)


def replace_secret(name: str, directory: int, noun: str, data: bytes, spare: int) -> None:
    """``replace``, then overwrite in place what the old file held past its ``spare`` bytes."""
    with opened(name, directory, noun, writable=True) as old:
        replace(name, directory, noun, data)
        _overwrite(old, spare)


def destroy_secret(
    name: str, directory: int, noun: str, spare: int, check: Check = check_private
) -> None:
    """Overwrite a file in place past its ``spare`` bytes, then delete it.

    The medium may keep the old blocks all the same: see the key source's documentation.
    """
    with opened(name, directory, noun, writable=True, check=check) as old:
        _overwrite(old, spare)
        os.unlink(name, dir_fd=directory)
        os.fsync(directory)


def _overwrite(handle: BinaryIO, spare: int) -> None:
    size = handle.seek(0, os.SEEK_END)
    handle.seek(spare)
    handle.write(bytes(max(0, size - spare)))
    handle.flush()
    os.fsync(handle.fileno())


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
