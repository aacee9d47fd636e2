"""What the commands share: the state directory, the vault, the encoder, and the sources."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_unlock.cli.passphrase import passphrase_asker
from edge_unlock.closing import Closing
from edge_unlock.errors import ConfigError, DeviceError, KeySourceError, PolicyError

if TYPE_CHECKING:
    from edge_unlock.audio import SampleSource
    from edge_unlock.config import Settings
    from edge_unlock.encoder.encoder import Encoder
    from edge_unlock.encoder.package import ModelPackage
    from edge_unlock.lock.gatekeeper import Gatekeeper
    from edge_unlock.lock.hearing import Heard
    from edge_unlock.lock.trust import Trust
    from edge_unlock.scoring.scorer import Scorer
    from edge_unlock.segmentation.segment import Segmenter
    from edge_unlock.vault import KeySource, ModelIdentity, Policy, Vault

STREAM = "-"
"""The input that is raw PCM on standard input."""

MAX_WHOLE_S = 300.0
"""Files that are judged as a whole may last so long; of longer ones memory and time run away."""

SILENT_DEVICE_S = 2.0
"""A microphone that delivers nothing for so long, not even silence, is taken for dead."""


class Session(Closing):
    """One run of the command line; everything in it is imported and made when first needed."""

    def __init__(self, home: Path | None, model: Path | None, config: Path | None = None) -> None:
        self._home = home
        self._model = model
        self._config = config
        self._open = ExitStack()

    def close(self) -> None:
        """Close the vault, if it was opened."""
        self._open.close()

    @cached_property
    def home(self) -> Path:
        """The state directory."""
        from edge_unlock.config import default_home

        return self._home or default_home()

    @property
    def config_path(self) -> Path:
        """Where the configuration file is, or would be."""
        from edge_unlock.config import CONFIG_NAME

        return self._config or self.home / CONFIG_NAME

    @cached_property
    def settings(self) -> Settings:
        """What the configuration file says."""
        from edge_unlock.config import Settings

        return Settings.load(self.config_path, must_exist=self._config is not None)

    @cached_property
    def package(self) -> ModelPackage:
        """The model package in use, whole, but perhaps of somebody whom nobody trusts."""
        from edge_unlock.encoder.package import ModelPackage

        return ModelPackage.load(self._model or self.settings.model, self.settings.trusted_key)

    @cached_property
    def sealed_policy(self) -> Policy | None:
        """What the vault says that decisions are made by, if it says so."""
        return self.vault.policy()

    @cached_property
    def trust(self) -> Trust:
        """Who vouches for the package; raises ``PolicyError`` where nobody does."""
        from edge_unlock.lock.trust import trust
        from edge_unlock.vault import Vault

        if not Vault.exists(self.home):
            return trust(self.package, None, is_new=True)
        sealed = self.sealed_policy
        return trust(self.package, sealed, is_new=sealed is None and not self.vault.users())

    @cached_property
    def policy(self) -> Policy:
        """What decisions are made by, of a package that is trusted.

        Raises ``PolicyError`` for another.
        """
        from edge_unlock.lock.trust import policy_for

        _ = self.trust  # or it raises
        return self.sealed_policy or policy_for(self.package)

    @property
    def idle_limit_hours(self) -> float | None:
        """After how long without an acceptance voice alone no longer opens: the shorter limit."""
        limits = (self.policy.idle_limit_hours, self.settings.idle_limit_hours)
        return min((limit for limit in limits if limit is not None), default=None)

    def first_policy(self) -> Policy | None:
        """What a new vault decides by; None where somebody has to accept the package first."""
        from edge_unlock.lock.trust import policy_for, trust

        try:
            trust(self.package, None, is_new=True)
        except PolicyError as error:
            click.echo(f"note: {error}\nhint: {error.hint}", err=True)
            return None
        return policy_for(self.package)

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder of the package, which is run only if it is trusted."""
        from edge_unlock.encoder.encoder import Encoder

        _ = self.trust  # or it raises
        return Encoder(self.package)

    @cached_property
    def scorer(self) -> Scorer:
        """The scorer of the package, as loose as the policy allows at most."""
        from edge_unlock.scoring.scorer import Scorer, rate_name

        sealed, wished = self.policy.false_accept_rate, self.settings.far
        default = wished if wished is not None else sealed
        loosest = sealed if sealed is not None else Scorer(self.package).rate()
        name = None if default is None else rate_name(default)
        return Scorer(self.package, name, loosest=loosest)

    def microphone(self, device: str | None) -> str:
        """What a place is bound to: the name of the microphone, empty for the system's default.

        Recordings count as heard by it.
        """
        named = self.device(device)
        return "" if named is None else str(named)

    def device(self, device: str | None) -> str | int | None:
        """The microphone that was asked for, else that of the configuration."""
        return self.settings.device if device is None else device

    def scorer_at(self, device: str | None) -> Scorer:
        """The scorer of the place that was learned with this microphone, if one was."""
        place = self.vault.place(self.identity, self.microphone(device))
        return self.scorer if place is None else self.scorer.placed(place.voices, place.entry.shift)

    @cached_property
    def segmenter(self) -> Segmenter:
        """The segmenter, with its VAD loaded."""
        from edge_unlock.segmentation.segment import Segmenter

        return Segmenter()

    @cached_property
    def identity(self) -> ModelIdentity:
        """What binds templates to the model in use."""
        from edge_unlock.vault import ModelIdentity

        manifest = self.package.manifest
        return ModelIdentity(
            self.package.sha256, manifest.front_end_sha256(), manifest.encoder.embedding_size
        )

    def gatekeeper(
        self,
        name: str | None,
        operating_point: str | None,
        device: str | None,
        *,
        continuous: bool = False,
        told: int = 0,
    ) -> Gatekeeper:
        """Who judges: whether it is ``name``, or who of the enrolled it is.

        ``told``: so many candidates are told with each decision.
        """
        from edge_unlock.lock.gatekeeper import Gatekeeper
        from edge_unlock.scoring.recognizer import Recognizer
        from edge_unlock.vault import validate_user_name

        return Gatekeeper(
            self.vault,
            Recognizer(self.encoder, self.scorer, self.identity, operating_point, told=told),
            None if name is None else validate_user_name(name),
            policy=self.policy,
            microphone=self.microphone(device),
            continuous=continuous,
            idle_limit_h=self.idle_limit_hours,
        )

    @cached_property
    def vault(self) -> Vault:
        """The vault, opened with the key source that it was made with."""
        from edge_unlock.vault import KeyFile, Vault

        kind = Vault.key_source_kind(self.home)
        vault = self._open.enter_context(Vault.open(self.home, self.key_source(kind)))
        # An interrupted change may have left an old key; one that cannot be destroyed now, on a
        # medium that is read-only, must not keep a door shut.
        with suppress(ConfigError, KeySourceError):
            vault.settle_key(self.key_source(KeyFile.kind))
        return vault

    def key_source(self, kind: str, *, new: bool = False) -> KeySource:
        """The key source of that kind; a ``new`` passphrase is asked for twice."""
        from edge_unlock.config import default_keyfile, shared_keyfile
        from edge_unlock.vault import KeyFile, Passphrase, SystemdCredential

        if kind == KeyFile.kind:
            if self.settings.keyfile:
                return KeyFile(self.settings.keyfile)
            return KeyFile(default_keyfile(), shared_keyfile())
        if kind == SystemdCredential.kind:
            return SystemdCredential()
        return Passphrase(passphrase_asker("Passphrase of the vault", new=new))

    def source(self, path: str | None, device: str | None, max_s: float = math.inf) -> SampleSource:
        """The file at ``path`` (raw PCM on stdin for ``-``), the microphone without one.

        A file of more than ``max_s`` is refused.
        """
        if path is None:
            from edge_unlock.audio import Microphone

            return Microphone(self.device(device))
        if path == STREAM:
            from edge_unlock.audio import Stdin

            return Stdin()
        from edge_unlock.audio import File

        return File(Path(path), max_s)

    def hear_all(self, path: str) -> list[Heard]:
        """All utterances of one input, of 5 minutes at most."""
        from edge_unlock.lock.hearing import hear

        with self.source(path, None, MAX_WHOLE_S) as source:
            return list(hear(source, self.segmenter))

    def hear_metered(self, device: str | None) -> Generator[Heard, None, None]:
        """Utterances at the microphone as they end, with a level meter if a terminal shows it."""
        from edge_unlock.cli.meter import Meter
        from edge_unlock.lock.hearing import hear

        if not sys.stderr.isatty():
            yield from self.hear_each((), device, None)
            return

        def draw(line: str) -> None:
            click.echo(f"\r{line}\r", nl=False, err=True)

        with Meter(self.source(None, device), lambda: self.segmenter.in_speech, draw) as source:
            yield from hear(source, self.segmenter)

    def hear_each(
        self, paths: Sequence[str], device: str | None, deadline_s: float | None
    ) -> Generator[Heard, None, None]:
        """Utterances as they end, embedded: of the inputs in turn, or of the microphone."""
        from edge_unlock.lock.hearing import hear

        chosen: Sequence[str | None] = paths or (None,)
        for path in chosen:
            with self.source(path, device) as source:
                yield from hear(source, self.segmenter, deadline_s, self.encoder)

    def lasting(
        self, device: str | None, tell: Callable[[DeviceError | None], None]
    ) -> SampleSource:
        """The microphone, waited for whenever it fails."""
        from edge_unlock.audio import Lasting, Microphone

        chosen = self.device(device)
        return Lasting(lambda: Microphone(chosen, timeout_s=SILENT_DEVICE_S), tell)
