"""Enrollment templates, stored encrypted."""

from edge_unlock.vault.keys import Argon2Cost, KeyFile, KeySource, Passphrase
from edge_unlock.vault.names import validate_user_name
from edge_unlock.vault.record import Consent, ModelIdentity, Template, UserEntry
from edge_unlock.vault.vault import Vault

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
