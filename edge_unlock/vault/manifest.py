"""Which users exist, which place is known, and which record is current for each."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from edge_unlock.errors import VaultError
from edge_unlock.vault.container import KEY_BYTES
from edge_unlock.vault.policy import Policy, policy_from_json, policy_to_json
from edge_unlock.vault.record import Consent, ModelIdentity, PlaceEntry, UserEntry

MAX_USERS: Final = 100_000
"""Identification is measured up to here."""
Entry = TypeVar("Entry", UserEntry, PlaceEntry)


@dataclass(frozen=True)
class Row(Generic[Entry]):
    """A user or the place, and the one record that is theirs now."""

    entry: Entry
    record_id: bytes
    generation: int
    digest: bytes
    """SHA-256 of the record's file."""
    first: int | None = None
    """Where the template begins in a record of many; None: the record is of this one alone."""


@dataclass(frozen=True)
class RollRow:
    """The record that lists the users, where they are many (``roll``)."""

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
    roll: RollRow | None = None
    """Where the rows are listed; None: in the manifest itself, or nowhere yet."""

    @classmethod
    def new(cls) -> "Manifest":
        """Return the manifest of a vault without users."""
        return cls(0, secrets.token_bytes(KEY_BYTES), MappingProxyType({}))

    def following(self) -> "Manifest":
        """Return the manifest that the next change starts from."""
        return replace(self, generation=self.generation + 1)

    def having(self, *rows: Row[UserEntry]) -> "Manifest":
        """Return a manifest in which each of ``rows`` is the one of its user."""
        present = {**self.rows, **{row.entry.name: row for row in rows}}
        return replace(self, rows=MappingProxyType(present), roll=None)

    def at(self, place: Row[PlaceEntry] | None) -> "Manifest":
        """Return a manifest of a device that stands in ``place``."""
        return replace(self, place=place)

    def under(self, policy: Policy | None) -> "Manifest":
        """Return a manifest of a vault whose decisions are made by ``policy``."""
        return replace(self, policy=policy)

    def emptied(self) -> "Manifest":
        """Return a manifest without rows, to be filled anew."""
        return replace(self, rows=MappingProxyType({}), place=None, roll=None)

    def to_bytes(self) -> bytes:
        """Return the manifest as JSON, without the users where a roll lists them."""
        document: dict[str, Any] = {
            "generation": self.generation,
            "journal_key": self.journal_key.hex(),
            "turn": self.turn,
        }
        if self.roll is None:
            users = [_row_to_json(row, entry_to_json) for row in self.rows.values()]
            document["users"] = users
        else:
            document["roll"] = _record_to_json(self.roll)
        if self.place is not None:
            document["place"] = _row_to_json(self.place, _place_to_json)
        if self.policy is not None:
            document["policy"] = policy_to_json(self.policy)
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """Parse what ``to_bytes`` wrote; VaultError for what it never did.

        It has no rows yet where a roll lists them.
        """
        try:
            document = json.loads(data)
            roll = document.get("roll")
            users = document["users"] if roll is None else ()
            rows = [_row_from_json(user, entry_from_json) for user in users]
            place, policy = document.get("place"), document.get("policy")
            return cls(
                int(document["generation"]),
                bytes.fromhex(document["journal_key"]),
                MappingProxyType({row.entry.name: row for row in rows}),
                None if place is None else _row_from_json(place, _place_from_json),
                None if document.get("turn") is None else int(document["turn"]),
                None if policy is None else policy_from_json(policy),
                None if roll is None else RollRow(*_record_from_json(roll)),
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
    first = {} if row.first is None else {"first": row.first}
    return {**to_json(row.entry), **_record_to_json(row), **first}


def _row_from_json(
    fields: Mapping[str, Any], from_json: Callable[[Mapping[str, Any]], Entry]
) -> Row[Entry]:
    first = fields.get("first")
    if first is not None and (type(first) is not int or first < 0):
        raise ValueError("a template begins nowhere on its shelf")
    return Row(from_json(fields), *_record_from_json(fields), first)


def _record_to_json(row: Row[Entry] | RollRow) -> dict[str, Any]:
    return {
        "record_id": row.record_id.hex(),
        "generation": row.generation,
        "digest": row.digest.hex(),
    }


def _record_from_json(fields: Mapping[str, Any]) -> tuple[bytes, int, bytes]:
    record_id, digest = bytes.fromhex(fields["record_id"]), bytes.fromhex(fields["digest"])
    return record_id, fields["generation"], digest
