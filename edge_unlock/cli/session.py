"""What the commands share: the state directory, the vault, the encoder, and the sources."""

import math
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from edge_unlock.audio import File, Microphone, SampleSource, Stdin
from edge_unlock.audio.source import Closing
from edge_unlock.cli.output import say
from edge_unlock.config import Settings, default_home
from edge_unlock.encoder import Encoder
from edge_unlock.errors import KeySourceError, WrongKeyError
from edge_unlock.hearing import Heard, hear
from edge_unlock.model import ModelPackage
from edge_unlock.scoring import Scorer
from edge_unlock.segment import Segmenter
from edge_unlock.vault import KeyFile, ModelIdentity, Passphrase, Vault

PASSPHRASE_FILE_VARIABLE = "EDGE_UNLOCK_PASSPHRASE_FILE"  # noqa: S105  # a name
NEW_PASSPHRASE_FILE_VARIABLE = "EDGE_UNLOCK_NEW_PASSPHRASE_FILE"  # noqa: S105  # a name

STREAM = "-"
"""The input that is raw PCM on standard input."""

MAX_WHOLE_S = 300.0
"""Files that are judged as a whole may last so long; of longer ones memory and time run away."""

F = TypeVar("F", bound=Callable[..., Any])


class Session(Closing):
    """One run of the command line; everything in it is made when it is first needed."""

    def __init__(self, home: Path | None, model: Path | None) -> None:
        self.home = home or default_home()
        self._model = model
        self._open = ExitStack()

    def close(self) -> None:
        """Close the vault, if it was opened."""
        self._open.close()

    @cached_property
    def settings(self) -> Settings:
        """The contents of config.toml."""
        return Settings.load(self.home)

    @cached_property
    def package(self) -> ModelPackage:
        """The model package in use."""
        return ModelPackage.load(self._model or self.settings.model, self.settings.trusted_key)

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder of the package."""
        return Encoder(self.package)

    @cached_property
    def scorer(self) -> Scorer:
        """The scorer of the package."""
        return Scorer(self.package)

    @cached_property
    def segmenter(self) -> Segmenter:
        """The segmenter, with its VAD loaded."""
        return Segmenter()

    @cached_property
    def identity(self) -> ModelIdentity:
        """What binds templates to the model in use."""
        manifest = self.package.manifest
        return ModelIdentity(
            self.package.sha256, manifest.front_end_sha256(), manifest.encoder.embedding_size
        )

    @cached_property
    def vault(self) -> Vault:
        """The vault, opened with the key source that it was made with."""
        kind = Vault.key_source_kind(self.home)
        try:
            vault = Vault.open(self.home, self.key_source(kind))
        except WrongKeyError:
            if kind != KeyFile.kind or not self.next_keyfile.exists():
                raise
            # a rekey was interrupted after the vault had changed its key: finish it
            vault = Vault.open(self.home, KeyFile(self.next_keyfile))
            self.next_keyfile.replace(self.settings.keyfile)
        return self._open.enter_context(vault)

    @property
    def next_keyfile(self) -> Path:
        """Where a new key lies until the vault has changed to it."""
        return self.settings.keyfile.with_name(f"{self.settings.keyfile.name}.next")

    def key_source(self, kind: str, *, new: bool = False) -> KeyFile | Passphrase:
        """The key source of that kind; a ``new`` passphrase is asked for twice."""
        if kind == KeyFile.kind:
            if new:
                self.settings.keyfile.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return KeyFile(self.settings.keyfile)
        return Passphrase(passphrase_asker("Passphrase of the vault", new=new))

    def source(self, path: str | None, device: str | None, max_s: float = math.inf) -> SampleSource:
        """The file at ``path`` (raw PCM on stdin for ``-``), the microphone without one.

        A file of more than ``max_s`` is refused.
        """
        if path is None:
            return Microphone(device if device is not None else self.settings.device)
        return Stdin() if path == STREAM else File(Path(path), max_s)

    def hear_all(self, path: str) -> list[Heard]:
        """All utterances of one input, of 5 minutes at most."""
        with self.source(path, None, MAX_WHOLE_S) as source:
            return list(hear(source, self.segmenter))

    def hear_each(
        self, paths: Sequence[str], device: str | None, deadline_s: float | None
    ) -> Generator[Heard, None, None]:
        """Utterances as they end: of the inputs in turn, or of the microphone."""
        chosen: Sequence[str | None] = paths or (None,)
        for path in chosen:
            with self.source(path, device) as source:
                yield from hear(source, self.segmenter, deadline_s)


def passphrase_asker(prompt: str, *, new: bool) -> Callable[[], str]:
    """How a passphrase is obtained: from a file that the environment names, or by a prompt.

    A ``new`` one has a variable of its own, for commands that need the old one as well.
    """

    def ask() -> str:
        path = os.environ.get(NEW_PASSPHRASE_FILE_VARIABLE) if new else None
        path = path or os.environ.get(PASSPHRASE_FILE_VARIABLE)
        if path is None:
            entered: str = click.prompt(
                prompt, hide_input=True, confirmation_prompt=new, err=True, prompt_suffix=": "
            )
            return entered
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise KeySourceError(
                f"cannot read the passphrase from {path}", "Name a text file that you can read."
            ) from error

    return ask


def print_json(fields: Any) -> None:
    """Print one JSON object on a line of its own, at once."""
    say(msgspec.json.encode(fields))  # as bytes: JSON is UTF-8, whatever the terminal's encoding


def input_options(command: F) -> F:
    """Add ``--device``, ``--input`` and ``--json``: the options of every command that hears."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line."),
        click.option(
            "--input",
            "inputs",
            multiple=True,
            metavar="FILE",
            help="Hear a recording (WAV, FLAC, Ogg) instead of the microphone; repeatable. "
            "- is raw 16-bit 16 kHz mono PCM on standard input.",
        ),
        click.option("--device", help="Microphone: part of its name, or its index."),
    ):
        command = option(command)
    return command
