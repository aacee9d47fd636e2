"""The vault: who is enrolled, kept so that only the holder of the key can read or change it.

What it does not notice: the whole directory put back to an older copy of itself, which would
need a counter outside of the disk. Keys are in memory while it is open; Python cannot wipe them.
"""

import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

from numpy.typing import ArrayLike

from edge_unlock.closing import Closing
from edge_unlock.errors import (
    KeySourceError,
    UserExistsError,
    VaultExistsError,
    VaultMissingError,
)
from edge_unlock.vault import transfer
from edge_unlock.vault.attempts import Attempts, uptime
from edge_unlock.vault.audit import AuditLog
from edge_unlock.vault.container import ID_BYTES
from edge_unlock.vault.directory import Directory
from edge_unlock.vault.journal import Journal
from edge_unlock.vault.key_slot import key_slot, recover
from edge_unlock.vault.keyfile import KeyFile, is_shared
from edge_unlock.vault.keys import KeySource
from edge_unlock.vault.names import find_look_alike, validate_user_name
from edge_unlock.vault.passphrase import Passphrase
from edge_unlock.vault.policy import Policy
from edge_unlock.vault.record import (
    Consent,
    Member,
    ModelIdentity,
    Place,
    PlaceEntry,
    Template,
    UserEntry,
    unit_rows,
    utc_now,
)
from edge_unlock.vault.resealing import renewed, resealed
from edge_unlock.vault.snapshot import Snapshot
from edge_unlock.vault.sources import kind_of
from edge_unlock.vault.store import MANIFEST, Store, fitting, row_of
from edge_unlock.vault.templates import members_of, place_of, template_of, templates_of
from edge_unlock.vault.turn import ATTEMPTS, Turn

_NEW_ID = ".new-vault-id"  # as a temporary file it goes when the vault is committed


class Vault(Closing):
    """An open vault. Use it as a context manager, or call ``close``.

    Every method reads the files anew, so that what another process changed is seen, and raises
    AuthenticationError when one was altered. Names are checked and normalised by
    ``validate_user_name``, which raises UserNameError.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._journal = Journal(store, ATTEMPTS)
        self.audit = AuditLog(store)

    @classmethod
    def create(cls, home: Path, key_source: KeySource, policy: Policy | None = None) -> Self:
        """Create an empty vault in the directory ``home``, which decides by ``policy``; open it.

        Raises VaultExistsError, KeySourceError.
        """
        return cls._create(home, key_source, (), policy)

    @classmethod
    def import_(
        cls,
        home: Path,
        path: Path,
        passphrase: Passphrase,
        key_source: KeySource,
        policy: Policy | None = None,
    ) -> Self:
        """Create a vault that holds the users of the export file ``path``, and open it.

        Raises what ``create`` does, and WrongKeyError, AuthenticationError for the export.
        """
        members = transfer.read(path, passphrase)
        vault = cls._create(home, key_source, members, policy)
        vault.audit.append("imported", users=len(members))
        return vault

    @classmethod
    def open(cls, home: Path, key_source: KeySource) -> Self:
        """Open the vault in ``home``.

        Raises VaultMissingError; KeySourceError when the key cannot be had, or is of another
        kind than the vault's; WrongKeyError, which is both a KeySourceError and an
        AuthenticationError, when it does not open the vault.
        """
        directory = Directory.open(home)
        try:
            kek = recover(directory, key_source)
            vault = cls(Store.open(directory, kek, key_source))
            with vault._store.reading():
                return vault
        except BaseException:
            directory.close()
            raise

    @staticmethod
    def exists(home: Path) -> bool:
        """Say whether there is a vault in ``home``; VaultError when ``home`` is unsafe."""
        try:
            directory = Directory.open(home)
        except VaultMissingError:
            return False
        try:
            return MANIFEST in directory.names()
        finally:
            directory.close()

    @staticmethod
    def key_source_kind(home: Path) -> str:
        """Return the kind of key that the vault says it opens by; true only once it opened."""
        directory = Directory.open(home)
        try:
            return kind_of(key_slot(directory).kek_id)
        finally:
            directory.close()

    @property
    def id(self) -> str:
        """What tells this vault from others, in hexadecimal digits: no secret, never changed."""
        with self._store.reading() as snapshot:
            return snapshot.vault_id.hex()

    @property
    def key_kind(self) -> str:
        """The kind of key that opened the vault."""
        return kind_of(self._store.kek.id)

    @property
    def key_may_be_shared(self) -> bool:
        """Whether the key is one of an earlier release, which may open other vaults too."""
        return is_shared(self._store.kek)

    @property
    def key_lies_within(self) -> bool:
        """Whether who copies the vault's directory copies the key with it."""
        source = self._store.source
        with self._store.reading() as snapshot:
            return isinstance(source, KeyFile) and source.lies_within(
                self._store.home.path, snapshot.vault_id
            )

    def settle_key(self, source: KeySource) -> None:
        """Destroy what ``source`` keeps for this vault and no longer opens it.

        An interrupted ``rekey`` or ``remove`` leaves such keys. Raises KeySourceError.
        """
        with self._store.reading() as snapshot:
            if source.is_settled(snapshot.vault_id, snapshot.kek):
                return
        with self._store.writing() as snapshot:
            source.settle(snapshot.vault_id, snapshot.kek)

    def check_writable(self) -> None:
        """Raise VaultError where no attempt could be recorded: a disk that is full or read-only."""
        with self._store.writing():
            self._store.home.check_writable()

    def policy(self) -> Policy | None:
        """Return what decisions are made by, if that is sealed."""
        with self._store.reading() as snapshot:
            return snapshot.manifest.policy

    def accept(self, policy: Policy | None) -> None:
        """Seal ``policy``, which decisions are made by from now on (None: as before 0.1.0)."""
        with self._store.writing() as snapshot:
            following = fitting(snapshot.following().under(policy))
            self._commit(following, self._attempts(snapshot), "policy accepted")

    def users(self) -> list[UserEntry]:
        """Return who is enrolled, by name."""
        with self._store.reading() as snapshot:
            rows = snapshot.manifest.rows
            return [rows[name].entry for name in sorted(rows)]

    def enroll(  # noqa: PLR0913 - all but three by name
        self,
        name: str,
        embeddings: ArrayLike,
        identity: ModelIdentity,
        consent: Consent,
        *,
        replace: bool = False,
        operating_point: str | None = None,
        policy: Policy | None = None,
    ) -> None:
        """Store (n, D) float32 ``embeddings`` of L2 norm 1 as the template of ``name``.

        ``operating_point`` names how strictly to decide about this person. ``policy``, which they
        were made under, is sealed with the first of them.

        Raises UserExistsError unless ``replace``, and for a name that only looks different
        from one that is enrolled; VaultError for unusable embeddings; PolicyError if another
        policy is sealed.
        """
        name = validate_user_name(name)
        rows = unit_rows(embeddings, identity.embedding_size)
        with self._store.writing() as snapshot:
            present = snapshot.manifest.rows.get(name)
            if present and not replace:
                raise UserExistsError(
                    f"{name!a} is enrolled already", "replace the enrollment, or remove it"
                )
            alike = None if present else find_look_alike(name, snapshot.manifest.rows)
            if alike is not None:
                raise UserExistsError(
                    f"{name!a} looks like {alike!a}, who is enrolled",
                    "choose a name that cannot be mistaken for another",
                )
            now = utc_now()
            created = present.entry.created if present else now
            entry = UserEntry(name, created, now, len(rows), consent, identity, operating_point)
            following = self._store.put(snapshot.following(), [(entry, rows)])
            following = following if policy is None else fitting(following.agreeing(policy))
            attempts = self._attempts(snapshot).enabling([name], now)
            self._commit(following, attempts, "enrolled", user=name)

    def add(self, name: str, embeddings: ArrayLike, identity: ModelIdentity) -> None:
        """Append (n, D) float32 ``embeddings`` of L2 norm 1 to the template of ``name``.

        Raises UnknownUserError, StaleTemplateError; VaultError for unusable embeddings.
        """
        name = validate_user_name(name)
        added = unit_rows(embeddings, identity.embedding_size)
        with self._store.writing() as snapshot:
            present = self._store.get(snapshot, name, identity)
            rows = unit_rows([*present, *added], identity.embedding_size)
            old = row_of(snapshot, name).entry
            entry = replace(old, updated=utc_now(), utterances=len(rows))
            following = self._store.put(snapshot.following(), [(entry, rows)])
            self._commit(following, self._attempts(snapshot), "added", user=name)

    def template(self, name: str, identity: ModelIdentity) -> Template:
        """Return the template of ``name``, made with the running model ``identity``.

        Raises UnknownUserError, StaleTemplateError, AuthenticationError.
        """
        with self._store.reading() as snapshot:
            return template_of(self._store, snapshot, validate_user_name(name), identity)

    def templates(self, identity: ModelIdentity) -> list[Template]:
        """Return the templates made with the running model ``identity``, by name.

        Users of another model are left out, for nobody can be recognised as them; raises
        StaleTemplateError when that leaves none of those who are enrolled.
        """
        with self._store.reading() as snapshot:
            return templates_of(self._store, snapshot, identity)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Open a transaction in which to decide; the lock is held meanwhile."""
        with self._store.writing() as snapshot:
            yield Turn(self._store, self.audit, snapshot)

    def enable(self, name: str | None = None) -> None:
        """Let attempts be made again: of ``name``, or of everybody and by the device.

        Raises UnknownUserError.
        """
        with self._store.writing() as snapshot:
            attempts = self._attempts(snapshot)
            names: Collection[str] = snapshot.manifest.rows
            if name is not None:
                names = [row_of(snapshot, validate_user_name(name)).entry.name]
            attempts = attempts.enabling(names, utc_now(), device=name is None)
            # following: what a running listener has prepaid is gone, and it must see that
            self._commit(snapshot.following(), attempts, "enabled", user=name)

    def place(self, identity: ModelIdentity, microphone: str) -> Place | None:
        """Return what was learned of the place with the running model and this microphone, if so.

        Raises AuthenticationError.
        """
        with self._store.reading() as snapshot:
            return place_of(self._store, snapshot, identity, microphone)

    def learn_place(
        self, voices: ArrayLike, shift: float, microphone: str, identity: ModelIdentity
    ) -> None:
        """Store (n, D) float32 ``voices`` of L2 norm 1 and the ``shift`` of thresholds.

        They take the place of what was learned before. VaultError for unusable voices.
        """
        rows = unit_rows(voices, identity.embedding_size)
        entry = PlaceEntry(utc_now(), len(rows), float(shift), microphone, identity)
        with self._store.writing() as snapshot:
            following = self._store.put_place(snapshot.following(), entry, rows)
            attempts = self._attempts(snapshot)
            self._commit(following, attempts, "place learned", voices=len(rows))

    def forget_place(self) -> bool:
        """Forget what was learned of the place, as ``remove`` does; whether there was anything."""
        with self._store.writing() as snapshot:
            if snapshot.manifest.place is None:
                return False
            following = renewed(self._store, snapshot, keep_place=False)
            self._commit(following, self._attempts(snapshot), "place forgotten")
            return True

    def remove(self, name: str) -> None:
        """Forget ``name``, and re-seal everybody else under a new master key.

        A key source that can renews its key, and destroys the former: an older copy of the
        vault then opens no more. A passphrase stays, and goes on opening older copies. Raises
        UnknownUserError, KeySourceError.
        """
        name = validate_user_name(name)
        with self._store.writing() as snapshot:
            row_of(snapshot, name)
            following = renewed(self._store, snapshot, without=name)
            attempts = self._attempts(snapshot).forgetting(name)
            self._commit(following, attempts, "removed", user=name)

    def rekey(self, new_key_source: KeySource) -> None:
        """Seal everything under a new master key, which a new key opens; destroy the former.

        Raises KeySourceError when the new key cannot be had or kept, is the present one, or
        when the former cannot be destroyed: then the vault opens by the new key nevertheless.
        """
        with self._store.reading() as snapshot:
            vault_id = snapshot.vault_id
        kek = new_key_source.new(vault_id)  # asks, perhaps: not while others wait for the lock
        with self._store.writing() as snapshot:
            if kek.key == snapshot.kek.key:
                raise KeySourceError(
                    "the new key is the one in use", "make another, or use another key source"
                )
            following = resealed(self._store, snapshot, kek, new_key_source)
            self._commit(following, self._attempts(snapshot), "rekeyed")

    def export(self, path: Path, passphrase: Passphrase) -> None:
        """Write all users to a new file ``path``, sealed under ``passphrase``.

        Raises VaultExistsError when there is such a file, KeySourceError for a weak passphrase.
        """
        with self._store.writing() as snapshot:
            enrolled = members_of(self._store, snapshot)
            # before there is a file: none is without its line, though a line may be without a file
            self.audit.append("exported", users=len(enrolled))
        transfer.write(path, enrolled, passphrase)

    def close(self) -> None:
        """Release the vault; a second call does nothing."""
        self._store.close()

    @classmethod
    def _create(
        cls,
        home: Path,
        key_source: KeySource,
        members: Sequence[Member],
        policy: Policy | None,
    ) -> Self:
        directory = Directory.create(home)
        try:
            with directory.locked():
                _refuse_existing(directory)  # before a key is made
                vault_id = _draw_id(directory)
            kek = key_source.new(vault_id)
            vault = cls(Store.open(directory, kek, key_source, create=True))
            snapshot = Snapshot.new(kek, vault_id).following().under(policy)
            with vault._store.founding(snapshot):
                _refuse_existing(directory)
                key_source.keep(vault_id, kek, None)
                vault._store.afterwards(lambda: key_source.settle(vault_id, kek))
                vault.audit.create(snapshot)
                snapshot = vault._store.put(snapshot, members)
                attempts = Attempts().at(uptime()).enabling(snapshot.manifest.rows, utc_now())
                vault._commit(snapshot, attempts, "created")
        except BaseException:
            directory.close()
            raise
        return vault

    def _attempts(self, snapshot: Snapshot) -> Attempts:
        return Attempts.from_bytes(self._journal.load(snapshot)).at(uptime())

    def _commit(
        self, snapshot: Snapshot, attempts: Attempts, event: str, **fields: str | int | None
    ) -> None:
        """Make ``snapshot`` the vault's state when the lock is released, with a line in the log."""
        self.audit.append(event, **{k: value for k, value in fields.items() if value is not None})
        self._store.stage({ATTEMPTS: attempts.to_bytes()}, snapshot)


def _draw_id(directory: Directory) -> bytes:
    """Return an id for a new vault: the one that an interrupted creation drew, if any.

    So its key file is found and used again, instead of lying about, or being in the way.
    """
    if _NEW_ID in directory.names():
        drawn = directory.read(_NEW_ID, ID_BYTES)
        if len(drawn) == ID_BYTES:
            return drawn
    drawn = secrets.token_bytes(ID_BYTES)
    directory.replace(_NEW_ID, drawn)
    return drawn


def _refuse_existing(directory: Directory) -> None:
    if MANIFEST in directory.names():
        raise VaultExistsError(
            f"there is a vault in {directory.path} already",
            "use it, or take another directory: --home DIR",
        )
