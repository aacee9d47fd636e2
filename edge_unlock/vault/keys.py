"""Where the key that opens a vault comes from.

A key source yields the key-encryption key (KEK), which wraps the vault's random master
key. To add one, write a class and name it in ``sources.KEY_SOURCES``.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Kek:
    """A key-encryption key, with what a sealed header says about how it was made."""

    id: int
    parameters: bytes
    key: bytes


class KeySource(ABC):
    """What a vault needs of a key source.

    A key changes in four steps, of which a crash may follow any: ``new``, ``keep``, the vault's
    own commit, ``settle``. ``vault_id`` is the 16 bytes that tell vaults apart.
    """

    kind: ClassVar[str]
    kek_id: ClassVar[int]
    renewable: ClassVar[bool] = False
    """Whether it can make another key, and find it again, without asking anybody."""

    @abstractmethod
    def new(self, vault_id: bytes) -> Kek:
        """Return another key, which is stored nowhere yet; raises KeySourceError."""

    @abstractmethod
    def recover(self, vault_id: bytes, parameters: bytes) -> Kek:
        """Return the key of an existing vault, from its header's parameters.

        Raises KeySourceError, or AuthenticationError for parameters that are never written.
        """

    def keep(self, vault_id: bytes, kek: Kek, present: Kek | None) -> None:  # noqa: B027
        """Store a new ``kek`` beside the vault's ``present`` one, so that either is found.

        Called under the vault's lock, before it commits. Raises KeySourceError.
        """

    def is_settled(self, vault_id: bytes, kek: Kek) -> bool:
        """Say whether nothing is stored for the vault but, possibly, ``kek``, which opens it."""
        return True

    def settle(self, vault_id: bytes, kek: Kek) -> None:  # noqa: B027
        """Destroy what is stored for the vault, save ``kek``, by which it opens.

        Called under the vault's lock, after it has committed. Raises KeySourceError.
        """
