"""Which user names the vault accepts, and which of them only look different."""

import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Final

from edge_unlock.errors import UserNameError

MAX_NAME_BYTES: Final = 64
_PUNCTUATION: Final = frozenset(" ._-")


def validate_user_name(name: str) -> str:
    """Return ``name`` in NFC, the form in which it is stored and compared.

    A name is 1 to 64 bytes of UTF-8: letters of any script with their marks, digits, space,
    dot, underscore and hyphen. It starts with a letter or digit and does not end in a space,
    so that it is safe as a file name, an option's value and a line of a log. Raises
    UserNameError, whose text quotes the name safely.
    """
    normal = unicodedata.normalize("NFC", name)
    allowed = all(_is_allowed(character) for character in normal)
    # Letters and digits only: not a dot file, an option, a blank, or a mark without its letter.
    framed = normal[:1].isalnum() and not normal.endswith(" ")
    if not (allowed and framed and len(normal.encode()) <= MAX_NAME_BYTES):
        quoted = ascii(name if len(name) <= 40 else name[:40] + "...")
        raise UserNameError(
            f"{quoted} is not accepted as a user name",
            f"use letters, digits, space, '.', '_' or '-', up to {MAX_NAME_BYTES} bytes, "
            "starting with a letter or digit",
        )
    return normal


def _is_allowed(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LM" or category == "Nd" or character in _PUNCTUATION


def find_look_alike(name: str, others: Iterable[str]) -> str | None:
    """Return one of the ``others`` that a person could take for ``name``, if there is one.

    As with Unicode's skeletons (UTS #39), names are compared after each character was replaced
    by one that stands for all that look like it; the case of letters makes no difference.
    """
    views = _views(name)
    for other in others:
        if any(one == view for one, view in zip(_views(other), views, strict=True)):
            return other
    return None


class LookAlikes:
    """Names, found again by any that looks like one of them."""

    def __init__(self) -> None:
        self._seen: tuple[dict[str, str], dict[str, str]] = ({}, {})

    def add(self, name: str) -> str | None:
        """Add a name, unless it could be taken for one that is there: that is returned."""
        views = _views(name)
        for view, seen in zip(views, self._seen, strict=True):
            if view in seen:
                return seen[view]
        for view, seen in zip(views, self._seen, strict=True):
            seen[view] = name
        return None


def _views(name: str) -> tuple[str, str]:
    """Two views of a name, of which either makes it look like another.

    Case is ignored before look-alikes are, or Ilse, whose I is like an l, would not be ilse; and
    after, or AI would not be al.
    """
    whole = unicodedata.normalize("NFKC", name)
    return _skeleton(whole.casefold()), _skeleton(_skeleton(whole).casefold())


def _skeleton(text: str) -> str:
    return "".join(map(_stand_in, unicodedata.normalize("NFD", text)))


@cache
def _stand_in(character: str) -> str:
    """Return what stands for all that look like ``character``."""
    from confusable_homoglyphs.confusables import confusables_data  # noqa: PLC0415  # 40 ms

    found, waiting = {character}, [character]
    while waiting:  # the data leads from each to some: the whole family is to be found
        # the marks that set off writing from right to left are no part of how it looks
        like = {one["c"].strip("\u200e") for one in confusables_data.get(waiting.pop(), ())}
        waiting.extend(like - found)
        found |= like
    return min(found, key=lambda one: (-len(one), one))  # the longest: an m is like an rn
