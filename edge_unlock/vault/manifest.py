"""Which users exist, which place is known, and which record is current for each."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from edge_unlock.errors import VaultError
from edge_unlock.vault.container import KEY_BYTES
from edge_unlock.vault.policy import Policy, policy_from_json, policy_to_json
from edge_unlock.vault.record import Consent, ModelIdentity, PlaceEntry, UserEntry

Entry = TypeVar("Entry", UserEntry, PlaceEntry)


@dataclass(frozen=True)
class Row(Generic[Entry]):
    """A user or the place, and the one record that is theirs now."""

    entry: Entry
    record_id: bytes
    generation: int
    digest: bytes
    """SHA-256 of the record's file."""


@dataclass(frozen=True)
class Manifest:
    """The vault's table of contents. It is what commits a change, so it is never edited."""

    generation: int
    journal_key: bytes
    """Keys the attempt counters and the audit log, which outlive the master key's changes."""
    rows: Mapping[str, Row[UserEntry]]
    place: Row[PlaceEntry] | None = None
    turn: int | None = None
    """That of the sealed state (``journal``); None as it was before there was one."""
    policy: Policy | None = None
    """None in a vault of an earlier release, until one is sealed."""

    @classmethod
    def new(cls) -> "Manifest":
        """Return the manifest of a vault without users."""
        return cls(0, secrets.token_bytes(KEY_BYTES), MappingProxyType({}))

    def following(self) -> "Manifest":
        """Return the manifest that the next change starts from."""
        return replace(self, generation=self.generation + 1)

    def having(self, row: Row[UserEntry]) -> "Manifest":
        """Return a manifest in which ``row`` is the one of its user."""
        rows = {**self.rows, row.entry.name: row}
        return replace(self, rows=MappingProxyType(rows))

    def at(self, place: Row[PlaceEntry] | None) -> "Manifest":
        """Return a manifest of a device that stands in ``place``."""
        return replace(self, place=place)

    def under(self, policy: Policy | None) -> "Manifest":
        """Return a manifest of a vault whose decisions are made by ``policy``."""
        return replace(self, policy=policy)

    def emptied(self) -> "Manifest":
        """Return a manifest without rows, to be filled anew."""
        return replace(self, rows=MappingProxyType({}), place=None)

    def to_bytes(self) -> bytes:
        """Return the manifest as JSON."""
        document = {
            "generation": self.generation,
            "journal_key": self.journal_key.hex(),
            "users": [_row_to_json(row, entry_to_json) for row in self.rows.values()],
            "turn": self.turn,
        }
        if self.place is not None:
            document["place"] = _row_to_json(self.place, _place_to_json)
        if self.policy is not None:
            document["policy"] = policy_to_json(self.policy)
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """Parse what ``to_bytes`` wrote; VaultError for what it never did."""
        try:
            document = json.loads(data)
            rows = [_row_from_json(user, entry_from_json) for user in document["users"]]
            place, policy = document.get("place"), document.get("policy")
            return cls(
                int(document["generation"]),
                bytes.fromhex(document["journal_key"]),
                MappingProxyType({row.entry.name: row for row in rows}),
                None if place is None else _row_from_json(place, _place_from_json),
                None if document.get("turn") is None else int(document["turn"]),
                None if policy is None else policy_from_json(policy),
            )
        except (
            AttributeError,
            KeyError,
            OverflowError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            raise VaultError(
                "the manifest is authentic but not understood", "upgrade edge-unlock"
            ) from error


def entry_to_json(entry: UserEntry) -> dict[str, Any]:
    """Return a user's entry as JSON values."""
    return {
        "name": entry.name,
        "created": entry.created,
        "updated": entry.updated,
        "utterances": entry.utterances,
        "consent": {"when": entry.consent.when, "purpose": entry.consent.purpose},
        **_identity_to_json(entry.identity),
        "operating_point": entry.operating_point,
    }


def entry_from_json(fields: Mapping[str, Any]) -> UserEntry:
    """Undo ``entry_to_json``; KeyError, TypeError or ValueError when it cannot be."""
    return UserEntry(
        name=fields["name"],
        created=fields["created"],
        updated=fields["updated"],
        utterances=fields["utterances"],
        consent=Consent(fields["consent"]["when"], fields["consent"]["purpose"]),
        identity=_identity_from_json(fields),
        operating_point=fields["operating_point"],
    )


def _place_to_json(entry: PlaceEntry) -> dict[str, Any]:
    return {
        "created": entry.created,
        "voices": entry.voices,
        "shift": entry.shift,
        "microphone": entry.microphone,
        **_identity_to_json(entry.identity),
    }


def _place_from_json(fields: Mapping[str, Any]) -> PlaceEntry:
    return PlaceEntry(
        created=fields["created"],
        voices=fields["voices"],
        shift=float(fields["shift"]),
        microphone=fields["microphone"],
        identity=_identity_from_json(fields),
    )


def _identity_to_json(identity: ModelIdentity) -> dict[str, Any]:
    return {
        "model_sha256": identity.model_sha256.hex(),
        "feature_sha256": identity.feature_sha256.hex(),
        "embedding_size": identity.embedding_size,
        "dtype": identity.dtype,
    }


def _identity_from_json(fields: Mapping[str, Any]) -> ModelIdentity:
    return ModelIdentity(
        bytes.fromhex(fields["model_sha256"]),
        bytes.fromhex(fields["feature_sha256"]),
        fields["embedding_size"],
        fields["dtype"],
    )


def _row_to_json(row: Row[Entry], to_json: Callable[[Entry], dict[str, Any]]) -> dict[str, Any]:
    return {
        **to_json(row.entry),
        "record_id": row.record_id.hex(),
        "generation": row.generation,
        "digest": row.digest.hex(),
    }


def _row_from_json(
    fields: Mapping[str, Any], from_json: Callable[[Mapping[str, Any]], Entry]
) -> Row[Entry]:
    return Row(
        from_json(fields),
        bytes.fromhex(fields["record_id"]),
        fields["generation"],
        bytes.fromhex(fields["digest"]),
    )
