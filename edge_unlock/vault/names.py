"""Which user names the vault accepts."""

import unicodedata
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
