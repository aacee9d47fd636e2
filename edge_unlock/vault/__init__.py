"""Enrollment templates, stored encrypted."""

from typing import TYPE_CHECKING

from edge_unlock.lazy import lazy_names

if TYPE_CHECKING:
    from edge_unlock.vault.credential import SystemdCredential
    from edge_unlock.vault.keyfile import KeyFile
    from edge_unlock.vault.keys import KeySource
    from edge_unlock.vault.names import validate_user_name
    from edge_unlock.vault.passphrase import Argon2Cost, Passphrase
    from edge_unlock.vault.policy import AcceptedPackage, Policy
    from edge_unlock.vault.record import Consent, ModelIdentity, Place, Template, UserEntry
    from edge_unlock.vault.turn import Turn
    from edge_unlock.vault.vault import Vault

__all__ = [
    "AcceptedPackage",
    "Argon2Cost",
    "Consent",
    "KeyFile",
    "KeySource",
    "ModelIdentity",
    "Passphrase",
    "Place",
    "Policy",
    "SystemdCredential",
    "Template",
    "Turn",
    "UserEntry",
    "Vault",
    "validate_user_name",
]
__getattr__ = lazy_names(
    __name__,
    {
        "AcceptedPackage": "policy",
        "Argon2Cost": "passphrase",
        "Consent": "record",
        "KeyFile": "keyfile",
        "KeySource": "keys",
        "ModelIdentity": "record",
        "Passphrase": "passphrase",
        "Place": "record",
        "Policy": "policy",
        "SystemdCredential": "credential",
        "Template": "record",
        "Turn": "turn",
        "UserEntry": "record",
        "Vault": "vault",
        "validate_user_name": "names",
    },
)
