"""What the vault holds about a person, as its callers see it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import ClassVar, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_unlock.errors import VaultError

MAX_EMBEDDING_SIZE: Final = 2048
MAX_PURPOSE_CHARACTERS: Final = 200
MAX_POINT_CHARACTERS: Final = 64
MAX_TIME_CHARACTERS: Final = 40
_DIGEST_BYTES: Final = 32
_NORM_TOLERANCE: Final = 1e-3


@dataclass(frozen=True)
class ModelIdentity:
    """Which model and front end made an embedding; one's template means nothing to another."""

    model_sha256: bytes
    """SHA-256 of the model file, 32 bytes."""
    feature_sha256: bytes
    """SHA-256 of the feature specification, 32 bytes."""
    embedding_size: int
    """Dimensions of an embedding."""
    dtype: str = "float32"
    """Element type of an embedding, by its numpy name."""

    def __post_init__(self) -> None:
        if len(self.model_sha256) != _DIGEST_BYTES or len(self.feature_sha256) != _DIGEST_BYTES:
            raise VaultError("a model identity holds two SHA-256 digests of 32 bytes each")
        in_range = _is_count(self.embedding_size) and self.embedding_size <= MAX_EMBEDDING_SIZE
        if not in_range or self.dtype != "float32":
            raise VaultError(
                "embeddings of that size or element type cannot be stored",
                f"the vault stores float32 and up to {MAX_EMBEDDING_SIZE} dimensions",
            )


@dataclass(frozen=True)
class Consent:
    """That a person agreed to be enrolled."""

    when: str
    """Date and time, ISO 8601 in UTC, such as 2025-01-31T12:00:00+00:00."""
    purpose: str
    """What for, one line of 1 to 200 printable characters."""

    def __post_init__(self) -> None:
        _check_time(self.when)
        if not _is_line(self.purpose, MAX_PURPOSE_CHARACTERS):
            raise VaultError(
                "the purpose of a consent is one printable line of 1 to "
                f"{MAX_PURPOSE_CHARACTERS} characters",
                "say in a few words what the person agreed to",
            )


@dataclass(frozen=True)
class UserEntry:
    """What can be told about an enrolled user without opening the template."""

    purpose: ClassVar[str] = "template"
    name: str
    created: str
    """When first enrolled, ISO 8601 in UTC."""
    updated: str
    """When last enrolled or added to, ISO 8601 in UTC."""
    utterances: int
    """Rows of the template."""
    consent: Consent
    identity: ModelIdentity
    """What made the template: it is stale when this is not the running model's."""
    operating_point: str | None = None
    """How strictly to decide about this person: a name in the model's manifest, or its default."""

    @property
    def bound_to(self) -> str:
        """What the record is good for alone."""
        return self.name

    def __post_init__(self) -> None:
        _check_time(self.created)
        _check_time(self.updated)
        if not _is_count(self.utterances):
            raise VaultError("a template has a whole number of utterances, of which 1 is the least")
        point = self.operating_point
        if point is not None and not _is_line(point, MAX_POINT_CHARACTERS):
            raise VaultError(
                "the name of an operating point is one printable line of 1 to "
                f"{MAX_POINT_CHARACTERS} characters"
            )


Member = tuple[UserEntry, NDArray[np.float32]]
"""A user, and their (n, D) unit rows."""


@dataclass(frozen=True)
class Template:
    """A person's enrollment, ready to be compared with."""

    user: str
    embeddings: NDArray[np.float32]
    """(n, D) float32, each row of L2 norm 1, read-only."""
    created: str
    """When first enrolled, ISO 8601 in UTC."""
    generation: int
    """The vault's generation that wrote it: it grows with every change of the template."""
    operating_point: str | None
    """As in ``UserEntry``."""
    is_decoy: bool = False
    """Whether nobody bears the name: it is compared with, but nobody is accepted as it."""


@dataclass(frozen=True)
class PlaceEntry:
    """What can be told of the place that a device has learned without opening its record."""

    purpose: ClassVar[str] = "place"
    created: str
    """When learned, ISO 8601 in UTC."""
    voices: int
    """Rows of the record, one a person."""
    shift: float
    """By how much thresholds rise there."""
    microphone: str
    """As it is named by the configuration; empty for the system's default."""
    identity: ModelIdentity
    """What made the voices."""

    @property
    def bound_to(self) -> str:
        """What the record is good for alone."""
        return self.microphone

    def __post_init__(self) -> None:
        _check_time(self.created)
        if not _is_count(self.voices) or not isfinite(self.shift):
            raise VaultError("a place has voices, and a shift of thresholds that is a number")


@dataclass(frozen=True)
class Place:
    """What a device has learned of where it stands: other people's voices."""

    entry: PlaceEntry
    voices: NDArray[np.float32]
    """(n, D) float32, each row of L2 norm 1, read-only."""


def utc_now() -> str:
    """Return the time as the vault writes it: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _check_time(text: str) -> None:
    """Raise VaultError unless ``text`` is a date and time in UTC, by ISO 8601."""
    try:
        offset = datetime.fromisoformat(text).utcoffset()
    except (TypeError, ValueError):
        offset = None
    if offset != timedelta(0) or len(text) > MAX_TIME_CHARACTERS:
        shown = text[:MAX_TIME_CHARACTERS] if isinstance(text, str) else text
        raise VaultError(
            f"{ascii(shown)[:60]} is not a date and time in UTC",
            "write it as 2025-01-31T12:00:00+00:00",
        )


def _is_line(text: object, max_characters: int) -> bool:
    return isinstance(text, str) and 1 <= len(text) <= max_characters and text.isprintable()


def _is_count(number: object) -> bool:
    return type(number) is int and number >= 1  # True is no count


def unit_rows(embeddings: ArrayLike, size: int) -> NDArray[np.float32]:
    """Return a float32 copy of (n, size) embeddings whose L2 norms are 1.

    Raises VaultError for another shape, no rows, NaN or infinity, or a norm that is off by
    more than rounding.
    """
    try:
        rows = np.array(embeddings, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise VaultError("embeddings must be an array of numbers") from error
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] != size:
        raise VaultError(f"embeddings of shape {rows.shape} given where (n, {size}) is needed")
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    # Written so that NaN fails it.
    if not bool(np.all(np.abs(norms - 1.0) <= _NORM_TOLERANCE)):
        raise VaultError("embeddings must be finite and of L2 norm 1")
    return np.asarray(rows / norms, dtype=np.float32)
