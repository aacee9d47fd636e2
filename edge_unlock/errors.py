"""What can go wrong, as the caller sees it.

Every error carries one line that says what happened and one that says what to do;
the command line prints both and leaves with ``exit_code``. Nothing is imported here,
so that every other module may import this one.
"""


class EdgeUnlockError(Exception):
    """Base of all errors of this package.

    ``hint`` says what the person can do about it, ``default_hint`` where nothing better is
    known; ``exit_code`` is the process status that the command line returns (whoever calls
    it must deny on anything but 0).
    """

    exit_code = 1
    default_hint = "This is a defect: report it."

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or self.default_hint


class ConfigError(EdgeUnlockError, ValueError):
    """A setting is missing, of the wrong type or out of range."""


class UnansweredError(EdgeUnlockError):
    """A question was asked, and nobody was there to answer it."""

    default_hint = (
        "Answer at a terminal; in a script give --yes or --consent, "
        "and the passphrase in a file that EDGE_UNLOCK_PASSPHRASE_FILE names."
    )


class AudioError(EdgeUnlockError):
    """Audio cannot be opened, read or decoded."""


class DeviceError(AudioError, OSError):
    """A microphone is missing, busy, or stopped delivering."""


class ModelError(EdgeUnlockError):
    """A model package is missing, malformed, or does not match its manifest."""


class PolicyError(EdgeUnlockError):
    """A model package, or a way to decide, that the vault's owner has not accepted."""

    default_hint = "If you trust it, accept it with `edge-unlock model accept`."


class VaultError(EdgeUnlockError):
    """The vault cannot be opened, read or written."""


class VaultMissingError(VaultError, FileNotFoundError):
    """There is no vault where one was expected."""

    default_hint = "Create one with: edge-unlock init"


class VaultExistsError(VaultError, FileExistsError):
    """There is a vault where none was expected."""


class AuthenticationError(VaultError):
    """A stored file was altered, replaced, or sealed under another key."""

    default_hint = "Restore the vault from a backup, or remove it and enroll again."


class StaleTemplateError(VaultError):
    """A template was made with another model or front end: the person must re-enroll."""


class KeySourceError(VaultError):
    """The key cannot be obtained: absent, unsafe permissions, wrong passphrase."""


class WrongKeyError(AuthenticationError, KeySourceError):
    """The key does not open the vault. A wrong key and an altered key slot look the same."""


class UserNameError(VaultError, ValueError):
    """A user name that the vault does not accept."""


class UnknownUserError(VaultError, LookupError):
    """Nobody of that name is enrolled."""


class UserExistsError(VaultError):
    """Somebody of that name is enrolled already."""


class EnrollmentError(EdgeUnlockError):
    """An enrollment did not gather enough usable utterances."""

    exit_code = 4


class CalibrationError(EdgeUnlockError):
    """Too few other people were heard to learn anything of a place."""

    exit_code = 4


class NoSpeechError(EdgeUnlockError):
    """The audio holds no usable speech. This is not a rejection."""

    exit_code = 4


class LockedOutError(EdgeUnlockError):
    """Too many failed attempts: no attempt is taken for ``wait_s`` seconds.

    None of them help where it is None: who has the key has to enable attempts again.
    """

    exit_code = 5

    def __init__(self, message: str, hint: str = "", *, wait_s: int | None = None) -> None:
        super().__init__(message, hint)
        self.wait_s = wait_s


class StatusError(EdgeUnlockError):
    """What listens cannot be asked for its status, or has nowhere to tell it."""


class LoginError(EdgeUnlockError):
    """A login to this computer that no voice decides: who wants in is to use another way."""

    default_hint = "Use the password."


class ActionError(EdgeUnlockError):
    """The unlock action could not be carried out.

    ``outcome`` is what the log says of it, ``status`` the exit status of a program that ended.
    """

    def __init__(
        self, message: str, hint: str = "", *, outcome: str = "failed", status: int | None = None
    ) -> None:
        super().__init__(message, hint)
        self.outcome = outcome
        self.status = status


class AssistantError(EdgeUnlockError):
    """A voice assistant, or its speech-to-text server, cannot be reached or understood."""

    default_hint = "Send the events of the Wyoming protocol."
