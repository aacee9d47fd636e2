"""Where the key that opens a vault comes from.

A key source yields the key-encryption key (KEK), which wraps the vault's random master
key. To add one, write a class and name it in ``KEY_SOURCES``.
"""

import secrets
import struct
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Final, Protocol

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from edge_unlock.errors import (
    AuthenticationError,
    KeySourceError,
    VaultError,
    VaultExistsError,
    VaultMissingError,
)
from edge_unlock.vault import files
from edge_unlock.vault.container import KEK_PARAMETER_BYTES, KEY_BYTES


@dataclass(frozen=True)
class Kek:
    """A key-encryption key, with what a sealed header says about how it was made."""

    id: int
    parameters: bytes
    key: bytes


class KeySource(Protocol):
    """What a vault needs of a key source."""

    kind: ClassVar[str]
    kek_id: ClassVar[int]

    def new(self) -> Kek:
        """Return a key for a new vault; raises KeySourceError."""
        ...

    def recover(self, parameters: bytes) -> Kek:
        """Return the key of an existing vault, from its header's parameters.

        Raises KeySourceError, or AuthenticationError for parameters that are never written.
        """
        ...


class KeyFile:
    """32 random bytes in a file of mode 0600: protects a copied vault, not a stolen card."""

    kind: ClassVar[str] = "keyfile"
    kek_id: ClassVar[int] = 1

    def __init__(self, path: Path) -> None:
        self.path = path

    def new(self) -> Kek:
        """Create the file, or use the one that is there already."""
        try:
            with files.parent_of(self.path) as directory:
                key = secrets.token_bytes(KEY_BYTES)
                files.create(self.path.name, directory, str(self.path), key)
        except VaultExistsError:
            pass  # an init that a power cut interrupted made it; recover() checks it
        except VaultError as error:
            raise KeySourceError(str(error), error.hint) from error
        return self.recover(_NO_PARAMETERS)

    def recover(self, parameters: bytes) -> Kek:
        """Read the file, which must be private and of the right size."""
        try:
            with files.parent_of(self.path) as directory:
                key = files.read(self.path.name, directory, str(self.path), KEY_BYTES)
        except VaultMissingError as error:
            raise KeySourceError(f"no key: {error}", "restore it from a backup") from error
        except VaultError as error:
            raise KeySourceError(f"no key: {error}", error.hint) from error
        if len(key) != KEY_BYTES:
            raise KeySourceError(
                f"no key: {self.path} is not {KEY_BYTES} bytes long", "restore it from a backup"
            )
        return Kek(self.kek_id, parameters, key)


@dataclass(frozen=True)
class Argon2Cost:
    """What one guess costs (RFC 9106). The default is its second recommended option, section 4.

    The floor is the least that OWASP's Password Storage Cheat Sheet recommends; the caps keep
    an altered header from exhausting a small machine before it is found out.
    """

    memory_kib: int = 64 * 1024
    iterations: int = 3
    lanes: int = 4

    def __post_init__(self) -> None:
        if not (
            19 * 1024 <= self.memory_kib <= 256 * 1024
            and 2 <= self.iterations <= 10
            and 1 <= self.lanes <= 16
        ):
            raise KeySourceError(
                f"an Argon2id cost of {self.memory_kib} KiB, {self.iterations} iterations and "
                f"{self.lanes} lanes is out of range",
                "use 19 to 256 MiB, 2 to 10 iterations, 1 to 16 lanes",
            )


_DEFAULT_COST: Final = Argon2Cost()


class Passphrase:
    """A passphrase through Argon2id: protects a stolen card as well as the phrase is strong.

    ``ask`` is called once, when the phrase is needed, and returns it: the caller decides
    whether that prompts, reads a descriptor or an environment variable. ``cost`` is that of
    a new vault; an existing one states its own.
    """

    kind: ClassVar[str] = "passphrase"
    kek_id: ClassVar[int] = 2

    _PARAMETERS: ClassVar[struct.Struct] = struct.Struct(">16sIII")

    def __init__(self, ask: Callable[[], str], cost: Argon2Cost = _DEFAULT_COST) -> None:
        self._ask = ask
        self.cost = cost

    def new(self) -> Kek:
        """Ask, refuse a weak phrase, and derive a key with a fresh salt."""
        phrase = self._ask()
        refuse_weak(phrase)
        cost = self.cost
        parameters = self._PARAMETERS.pack(
            secrets.token_bytes(16), cost.memory_kib, cost.iterations, cost.lanes
        )
        return self._derive(phrase, parameters, cost)

    def recover(self, parameters: bytes) -> Kek:
        """Ask, and derive at the stated cost, which is checked before any memory is spent."""
        try:
            cost = Argon2Cost(*self._PARAMETERS.unpack(parameters)[1:])
        except KeySourceError as error:
            raise AuthenticationError(
                f"the key slot was altered: {error}", "restore the vault from a backup"
            ) from error
        return self._derive(self._ask(), parameters, cost)

    def _derive(self, phrase: str, parameters: bytes, cost: Argon2Cost) -> Kek:
        salt = self._PARAMETERS.unpack(parameters)[0]
        kdf = Argon2id(
            salt=salt,
            length=KEY_BYTES,
            iterations=cost.iterations,
            lanes=cost.lanes,
            memory_cost=cost.memory_kib,
        )
        # NFC: keyboards differ in how they compose an accent. Lone surrogates, which an
        # undecodable environment variable yields, are kept as they are.
        text = unicodedata.normalize("NFC", phrase).encode("utf-8", "surrogatepass")
        return Kek(self.kek_id, parameters, kdf.derive(text))


KEY_SOURCES: Final[tuple[type[KeySource], ...]] = (
    KeyFile,
    Passphrase,
)

_NO_PARAMETERS: Final = bytes(KEK_PARAMETER_BYTES)

# Only what the other rules let through; a word list would not make a short phrase strong.
_COMMON: Final = frozenset(
    {
        "1q2w3e4r",
        "changeme",
        "edge-unlock",
        "iloveyou",
        "letmein1",
        "password",
        "password1",
        "password123",
        "qwertyuiop",
        "raspberry",
        "raspberrypi",
        "sunshine",
    }
)


def refuse_weak(phrase: str) -> None:
    """Raise KeySourceError for a passphrase that is short or among the first to be guessed."""
    hint = "use several unrelated words"
    if len(phrase) < 8:
        raise KeySourceError("the passphrase is shorter than 8 characters", hint)
    folded = phrase.casefold()
    is_run = len({ord(right) - ord(left) for left, right in pairwise(folded)}) == 1
    if len(set(folded)) < 5 or is_run or folded in _COMMON:
        raise KeySourceError("the passphrase is trivial to guess", hint)


def kind_of(kek_id: int) -> str:
    """Return the name of the key source of a header's KEK id; VaultError when unknown."""
    for source in KEY_SOURCES:
        if source.kek_id == kek_id:
            return source.kind
    raise VaultError(
        f"the vault's key source {kek_id} is unknown to this release",
        "the vault was altered, or a newer release wrote it: upgrade edge-unlock",
    )
