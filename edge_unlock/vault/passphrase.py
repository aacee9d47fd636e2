"""A passphrase: protects a stolen card as well as the phrase is strong."""

import secrets
import struct
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from edge_unlock.errors import AuthenticationError, KeySourceError
from edge_unlock.vault.container import KEY_BYTES
from edge_unlock.vault.keys import Kek, KeySource

_MIN_SCORE: Final = 3
"""Of zxcvbn's 0 to 4: more than 10^8 guesses, which Argon2id makes worth years of a computer."""

_JUDGED_CHARACTERS: Final = 72  # zxcvbn takes no more; what follows makes no phrase weaker


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


class Passphrase(KeySource):
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

    def new(self, vault_id: bytes) -> Kek:
        """Ask, refuse a weak phrase, and derive a key with a fresh salt."""
        phrase = self._ask()
        refuse_weak(phrase)
        cost = self.cost
        parameters = self._PARAMETERS.pack(
            secrets.token_bytes(16), cost.memory_kib, cost.iterations, cost.lanes
        )
        return self._derive(phrase, parameters, cost)

    def recover(self, vault_id: bytes, parameters: bytes) -> Kek:
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


def refuse_weak(phrase: str) -> None:
    """Raise KeySourceError, with what would help, for a passphrase that is soon guessed.

    The judge is zxcvbn: Wheeler, "zxcvbn: Low-Budget Password Strength Estimation", USENIX
    Security 2016.
    """
    from zxcvbn import zxcvbn  # noqa: PLC0415  # its word lists; needed for new phrases only

    if not phrase:
        raise KeySourceError("the passphrase is empty", "use several unrelated words")
    verdict = zxcvbn(phrase[:_JUDGED_CHARACTERS], user_inputs=["edge-unlock", "edgeunlock"])
    if verdict["score"] < _MIN_SCORE:
        feedback = verdict["feedback"]
        advice = [feedback["warning"], *feedback["suggestions"], "Use several unrelated words."]
        raise KeySourceError("the passphrase is too easy to guess", " ".join(filter(None, advice)))
