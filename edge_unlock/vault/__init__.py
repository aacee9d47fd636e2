"""Enrollment templates, stored encrypted."""

from .keys import Argon2Cost, KeyFile, KeySource, Passphrase
from .names import validate_user_name
from .record import Consent, ModelIdentity, Template, UserEntry
from .vault import Vault

__all__ = [
    "Argon2Cost",
    "Consent",
    "KeyFile",
    "KeySource",
    "ModelIdentity",
    "Passphrase",
    "Template",
    "UserEntry",
    "Vault",
    "validate_user_name",
]
