"""Who is enrolled, where they are too many to be listed in the manifest itself.

Then the list is a sealed record like any other, which the manifest names with its digest. It is
written when somebody comes or goes, not with every turn; what many have in common it says once.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated

import msgspec

from edge_unlock.errors import VaultError
from edge_unlock.vault.manifest import Row
from edge_unlock.vault.record import Consent, ModelIdentity, UserEntry

Number = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class _Model(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    model_sha256: bytes
    feature_sha256: bytes
    embedding_size: int
    dtype: str


class _Consent(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    when: str
    purpose: str


class _Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    record_id: bytes
    generation: Number
    digest: bytes


class _Line(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A user; consent, model and record by their numbers in the lists."""

    name: str
    created: str
    updated: str
    utterances: Number
    operating_point: str | None
    consent: Number
    model: Number
    record: Number
    first: Number | None


class _Roll(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: list[_Model]
    consents: list[_Consent]
    records: list[_Record]
    users: list[_Line]


def roll_to_bytes(rows: Iterable[Row[UserEntry]]) -> bytes:
    """Return the rows as JSON."""
    models: dict[ModelIdentity, int] = {}
    consents: dict[Consent, int] = {}
    records: dict[tuple[bytes, int, bytes], int] = {}
    users = []
    for row in rows:
        entry = row.entry
        line = _Line(
            entry.name,
            entry.created,
            entry.updated,
            entry.utterances,
            entry.operating_point,
            consents.setdefault(entry.consent, len(consents)),
            models.setdefault(entry.identity, len(models)),
            records.setdefault((row.record_id, row.generation, row.digest), len(records)),
            row.first,
        )
        users.append(line)
    return msgspec.json.encode(
        _Roll(
            [
                _Model(one.model_sha256, one.feature_sha256, one.embedding_size, one.dtype)
                for one in models
            ],
            [_Consent(one.when, one.purpose) for one in consents],
            [_Record(*one) for one in records],
            users,
        )
    )


def roll_from_bytes(data: bytes) -> Mapping[str, Row[UserEntry]]:
    """Undo ``roll_to_bytes``: the rows by name; VaultError for what it never wrote."""
    try:
        roll = msgspec.json.decode(data, type=_Roll)
        models = [ModelIdentity(*msgspec.structs.astuple(one)) for one in roll.models]
        consents = [Consent(one.when, one.purpose) for one in roll.consents]
        rows = {}
        for line in roll.users:
            entry = UserEntry(
                line.name,
                line.created,
                line.updated,
                line.utterances,
                consents[line.consent],
                models[line.model],
                line.operating_point,
            )
            record = roll.records[line.record]
            rows[line.name] = Row(
                entry, record.record_id, record.generation, record.digest, line.first
            )
    except (msgspec.MsgspecError, IndexError, RecursionError, UnicodeDecodeError) as error:
        raise VaultError(
            "the list of users is authentic but not understood", "upgrade edge-unlock"
        ) from error
    return MappingProxyType(rows)
