"""Lines of a file, each bound by a MAC to all that came before it, over several files."""

import hmac
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from hashlib import sha256
from typing import BinaryIO, Final, Self

MAX_LINE_BYTES: Final = 4096
_PACKING: Final = struct.Struct(">QQ32s")
_MAC: Final = re.compile(rb'"mac":"([0-9a-f]{64})"\}\n')
_HEAD: Final = re.compile(
    rb'\{"continues":(\d{1,15}),"after":"([0-9a-f]{64})","mac":"[0-9a-f]{64}"\}\n'
)


class BrokenChainError(Exception):
    """The line after the last good one was altered, or is not there."""


@dataclass(frozen=True)
class Link:
    """A place in the chain: how many lines lie before it, how many bytes of its file do, and the
    MAC of the last line."""

    lines: int = 0
    size: int = 0
    mac: bytes = bytes(32)

    def pack(self) -> bytes:
        """Return the place in 48 bytes."""
        return _PACKING.pack(*astuple(self))

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Undo ``pack``."""
        return cls(*_PACKING.unpack(packed))

    def is_at(self, other: "Link") -> bool:
        """Whether it is the same place, be it the end of one file or the start of the next."""
        return (self.lines, self.mac) == (other.lines, other.mac)

    def follow(self, body: bytes, key: bytes) -> tuple[bytes, "Link"]:
        """Return the line that holds the JSON object ``body``, and the place after it."""
        mac = hmac.digest(key, self.mac + body, sha256)
        line = body[:-1] + b',"mac":"' + mac.hex().encode() + b'"}\n'
        return line, Link(self.lines + 1, self.size + len(line), mac)

    def head(self, key: bytes) -> tuple[bytes, "Link"]:
        """Return the first line of a file that goes on from here, and the place after it.

        It is not counted: what it says was known.
        """
        body = b'{"continues":%d,"after":"%s"}' % (self.lines, self.mac.hex().encode())
        line, after = self.follow(body, key)
        return line, Link(self.lines, len(line), after.mac)


_MAC_SUFFIX_BYTES: Final = len(Link().follow(b"{}", b"")[0]) - len(b"{")


def start(handle: BinaryIO, key: bytes) -> tuple[Link, Link]:
    """Return the place that the file goes on from, and that of its first counted line.

    They differ by the head, which the first file of a chain has not.
    Raises BrokenChainError when the head was altered.
    """
    handle.seek(0)
    line = handle.readline(MAX_LINE_BYTES + 1)
    found = _HEAD.fullmatch(line)
    if found is None:
        return Link(), Link()
    before = Link(int(found[1]), 0, bytes.fromhex(found[2].decode()))
    expected, after = before.head(key)
    if not hmac.compare_digest(line, expected):
        raise BrokenChainError
    return before, after


def following(
    handle: BinaryIO, key: bytes, place: Link, *, may_be_torn: bool
) -> Iterator[tuple[bytes, Link]]:
    """Yield each line that follows ``place``, and the place after it.

    ``may_be_torn``: whether a power cut can have left a part of a line at the end, which is
    passed over. Raises BrokenChainError.
    """
    handle.seek(place.size)
    while (line := handle.readline(MAX_LINE_BYTES + 1)).endswith(b"\n"):
        expected, place = place.follow(line[:-_MAC_SUFFIX_BYTES] + b"}", key)
        if not hmac.compare_digest(line, expected):
            raise BrokenChainError
        yield line, place
    if line and not may_be_torn:
        raise BrokenChainError


def check_end(handle: BinaryIO, key: bytes, end: Link) -> None:
    """Check the last line before ``end``, and the MAC of the one before that; no others.

    Takes the same time however long the file is. Raises BrokenChainError.
    """
    if handle.seek(0, os.SEEK_END) < end.size:
        raise BrokenChainError
    if end.size == 0:
        return
    from_ = max(0, end.size - 2 * MAX_LINE_BYTES)
    handle.seek(from_)
    *earlier, last = handle.read(end.size - from_).splitlines(keepends=True)
    before = Link()
    if earlier:
        found = _MAC.search(earlier[-1])
        if found is None:
            raise BrokenChainError
        before = Link(mac=bytes.fromhex(found[1].decode()))
    expected, after = before.follow(last[:-_MAC_SUFFIX_BYTES] + b"}", key)
    if not hmac.compare_digest(last, expected) or after.mac != end.mac:
        raise BrokenChainError
