"""Passphrases, from a person or a file."""

import os
import warnings
from collections.abc import Callable
from getpass import GetPassWarning
from pathlib import Path

import click

from edge_unlock import files
from edge_unlock.errors import KeySourceError, VaultError

PASSPHRASE_FILE_VARIABLE = "EDGE_UNLOCK_PASSPHRASE_FILE"  # noqa: S105  # a name
NEW_PASSPHRASE_FILE_VARIABLE = "EDGE_UNLOCK_NEW_PASSPHRASE_FILE"  # noqa: S105  # a name

MAX_PASSPHRASE_FILE_BYTES = 4096


def passphrase_asker(prompt: str, *, new: bool) -> Callable[[], str]:
    """How a passphrase is obtained: from a file that the environment names, or by a prompt.

    A ``new`` one has a variable of its own, for commands that need the old one as well.
    What nobody sees does not count: blanks and line ends around it, an editor's byte order mark.
    """

    def ask() -> str:
        path = os.environ.get(NEW_PASSPHRASE_FILE_VARIABLE) if new else None
        path = path or os.environ.get(PASSPHRASE_FILE_VARIABLE)
        if path is None:
            with warnings.catch_warnings():
                # it tells a pipe that what it says would be seen
                warnings.simplefilter("ignore", GetPassWarning)
                entered: str = click.prompt(
                    prompt, hide_input=True, confirmation_prompt=new, err=True, prompt_suffix=": "
                )
            return entered.strip()
        try:
            data = files.read_path(Path(path), MAX_PASSPHRASE_FILE_BYTES, files.check_secret)
            return data.decode("utf-8-sig").strip()
        except VaultError as error:
            raise KeySourceError(f"no passphrase: {error}", error.hint) from error
        except UnicodeDecodeError as error:
            raise KeySourceError(
                f"no passphrase: {path} is no text", "Write it in UTF-8."
            ) from error

    return ask
