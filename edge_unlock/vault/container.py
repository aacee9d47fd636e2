"""The sealed file: a fixed header, then one ciphertext, then nothing.

Every write has a key of its own, derived from a fresh salt (the pattern of age,
https://age-encryption.org/v1), so that no nonce can ever meet the same key twice.
The header is authenticated together with a context that the *reader* recomputes from
what it expects to find, so a file that was moved, swapped or restored does not open.
"""

import hmac
import secrets
import struct
from dataclasses import astuple, dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge_unlock.errors import AuthenticationError, VaultError

KEY_BYTES: Final = 32
ID_BYTES: Final = 16
KEK_PARAMETER_BYTES: Final = 28

VERSION: Final = 1
CHACHA20_POLY1305: Final = 1  # RFC 8439; the default, for a Pi 4 has no AES instructions
AES_256_GCM: Final = 2  # NIST SP 800-38D
UNDER_MASTER_KEY: Final = 0  # the KEK id of what is sealed under the vault master key itself

_AEADS: Final[dict[int, type[ChaCha20Poly1305] | type[AESGCM]]] = {
    CHACHA20_POLY1305: ChaCha20Poly1305,
    AES_256_GCM: AESGCM,
}
_TAG_BYTES: Final = 16  # of both ciphers
_INFO_PREFIX: Final = b"edge-unlock/v1/"
_HEADER: Final = struct.Struct(f">4sBBB32s12s{ID_BYTES}s{KEK_PARAMETER_BYTES}sI32s")
HEADER_BYTES: Final = _HEADER.size


@dataclass(frozen=True)
class Format:
    """A family of sealed files: its magic, and the longest ciphertext it may hold in bytes."""

    magic: bytes
    max_length: int


VAULT_FILE: Final = Format(b"EUV1", 64 * 1024)
SHELF_FILE: Final = Format(b"EUV1", 8 * 1024 * 1024)
STATE_FILE: Final = Format(b"EUV1", 64 * 1024 * 1024)
ROLL_FILE: Final = Format(b"EUV1", 256 * 1024 * 1024)
EXPORT_FILE: Final = Format(b"EUX1", 1024 * 1024 * 1024)


@dataclass(frozen=True)
class Context:
    """What a sealed file is bound to: its type, its record id, and who and what it is for."""

    type: str
    record_id: bytes
    fields: tuple[bytes, ...] = ()

    def aad(self, header: bytes) -> bytes:
        """Return the header and then each field behind its length, so that none can slide."""
        parts = (self.type.encode(), *self.fields)
        return header + b"".join(struct.pack(">I", len(part)) + part for part in parts)


@dataclass(frozen=True)
class Header:
    """The plaintext, authenticated start of a sealed file, in file order."""

    magic: bytes
    version: int
    aead_id: int
    kek_id: int
    salt: bytes
    nonce: bytes
    record_id: bytes
    kek_parameters: bytes
    length: int
    commitment: bytes

    def pack(self) -> bytes:
        """Return the header's bytes."""
        return _HEADER.pack(*astuple(self))

    @classmethod
    def read(cls, blob: bytes, noun: str, form: Format = VAULT_FILE) -> "Header":
        """Parse the start of ``blob``; ``noun`` names the file in errors.

        Raises AuthenticationError for what no release ever wrote, and VaultError for a
        version or cipher that a later release may have written.
        """
        if len(blob) < HEADER_BYTES or not blob.startswith(form.magic):
            raise AuthenticationError(f"the {noun} is not a file that edge-unlock sealed")
        header = cls(*_HEADER.unpack_from(blob))
        if header.version != VERSION or header.aead_id not in _AEADS:
            raise VaultError(
                f"the {noun} has format {header.version}.{header.aead_id}, unknown to this release",
                "it was altered, or a newer release wrote it: upgrade edge-unlock",
            )
        if not _TAG_BYTES <= header.length <= form.max_length:
            raise AuthenticationError(f"the {noun} states an impossible length")
        return header


def seal(  # noqa: PLR0913  # each is a field of the format
    payload: bytes,
    master: bytes,
    context: Context,
    *,
    form: Format = VAULT_FILE,
    kek_id: int = UNDER_MASTER_KEY,
    kek_parameters: bytes = bytes(KEK_PARAMETER_BYTES),
    aead_id: int = CHACHA20_POLY1305,
) -> bytes:
    """Return ``payload`` sealed under a single-use key derived from ``master``.

    Raises VaultError when the payload is larger than the format allows.
    """
    length = len(payload) + _TAG_BYTES
    if length > form.max_length:
        raise VaultError(
            f"the {context.type} would take {length} bytes, more than {form.max_length}",
            "remove a user, or enroll with fewer utterances",
        )
    salt, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
    key, commitment = _single_use_key(master, salt, context)
    header = Header(
        form.magic,
        VERSION,
        aead_id,
        kek_id,
        salt,
        nonce,
        context.record_id,
        kek_parameters,
        length,
        commitment,
    ).pack()
    return header + _AEADS[aead_id](key).encrypt(nonce, payload, context.aad(header))


def unseal(blob: bytes, master: bytes, context: Context, *, form: Format = VAULT_FILE) -> bytes:
    """Return the payload of ``blob``, which must be exactly one sealed file of ``context``.

    Raises AuthenticationError when it was altered, cut, extended, moved, or sealed under
    another key; VaultError when its format is unknown.
    """
    header = Header.read(blob, context.type, form)
    if len(blob) != HEADER_BYTES + header.length:
        raise AuthenticationError(f"the {context.type} was cut short or extended")
    key, commitment = _single_use_key(master, header.salt, context)
    altered = AuthenticationError(
        f"the {context.type} was altered, replaced, or sealed under another key",
        "restore the vault from a backup, or enroll again",
    )
    # Without this a ciphertext can be made that opens under two keys: Albertini et al.,
    # "How to Abuse and Fix Authenticated Encryption Without Key Commitment", USENIX Security 2022.
    if header.record_id != context.record_id or not hmac.compare_digest(
        commitment, header.commitment
    ):
        raise altered
    try:
        return _AEADS[header.aead_id](key).decrypt(
            header.nonce, blob[HEADER_BYTES:], context.aad(blob[:HEADER_BYTES])
        )
    except InvalidTag:
        raise altered from None


def derive(master: bytes, purpose: str, *, salt: bytes = b"", length: int = KEY_BYTES) -> bytes:
    """Return ``length`` bytes by HKDF-SHA256 (RFC 5869), separated from others by ``purpose``."""
    return _hkdf(master, salt, purpose.encode(), length)


def _single_use_key(master: bytes, salt: bytes, context: Context) -> tuple[bytes, bytes]:
    """Return a key and its commitment: two halves of one HKDF output."""
    okm = _hkdf(master, salt, context.type.encode() + context.record_id, KEY_BYTES + 32)
    return okm[:KEY_BYTES], okm[KEY_BYTES:]


def _hkdf(master: bytes, salt: bytes, purpose: bytes, length: int) -> bytes:
    info = _INFO_PREFIX + purpose
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(master)
