"""What the audit log calls people: by a keyed hash, and sealed beside it the name for the owner.

So the log tells nobody else who lives here, only which lines are about the same person; and the
owner can read the names of those, too, who were removed since.
"""

import hmac
import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from edge_unlock.errors import AuthenticationError
from edge_unlock.vault.container import derive

_ALIAS_BYTES: Final = 16
_SALT_BYTES: Final = 16
_PADDING_BYTES: Final = 32
"""Names are sealed in multiples of it, so that the length does not give one away."""

_NONCE: Final = bytes(12)  # every line has a key of its own, by its salt


class Aliases:
    """Aliases of names, and names of aliases, by one ``key``."""

    def __init__(self, key: bytes) -> None:
        self._key = derive(key, "alias")
        self._sealing_key = derive(key, "sealed names")

    def of(self, name: str) -> str:
        """Return the alias of a name: the same each time, 32 hexadecimal digits."""
        return hmac.digest(self._key, name.encode(), sha256)[:_ALIAS_BYTES].hex()

    def seal(self, names: Iterable[str]) -> str:
        """Return the names as text that only the key opens."""
        plain = json.dumps(sorted(names), ensure_ascii=False, separators=(",", ":")).encode()
        plain += b" " * (-len(plain) % _PADDING_BYTES)
        salt = secrets.token_bytes(_SALT_BYTES)
        return b64encode(salt + self._cipher(salt).encrypt(_NONCE, plain, None)).decode()

    def unseal(self, text: str) -> dict[str, str]:
        """Return the sealed names by their aliases; AuthenticationError when they are altered."""
        try:
            blob = b64decode(text, validate=True)
            salt = blob[:_SALT_BYTES]
            names = json.loads(self._cipher(salt).decrypt(_NONCE, blob[_SALT_BYTES:], None))
        except (InvalidTag, ValueError) as error:
            raise AuthenticationError("the names of a line of the audit log are altered") from error
        return {self.of(name): name for name in names}

    def _cipher(self, salt: bytes) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(derive(self._sealing_key, "line", salt=salt))
