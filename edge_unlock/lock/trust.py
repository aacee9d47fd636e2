"""Whether a model package may decide: by the pin of the program, a signature, or the owner's word.

A package that nobody vouched for is never run, for its thresholds may accept everybody, and its
network may be made to break the interpreter.
"""

from enum import StrEnum

from edge_unlock.encoder.package import ModelPackage, is_shipped
from edge_unlock.errors import PolicyError
from edge_unlock.vault.policy import AcceptedPackage, Policy


class Trust(StrEnum):
    """Who vouches for a package."""

    PINNED = "pinned: it ships with this release"
    SIGNED = "signed by the trusted key"
    ACCEPTED = "accepted by the vault's owner"


def trust(package: ModelPackage, sealed: Policy | None, *, is_new: bool = False) -> Trust:
    """Who vouches for a package; ``sealed`` is the policy of the vault, None where it has none.

    Where one is sealed, its package alone is accepted. A vault without, as earlier releases made
    them, has the shipped one; while it ``is_new``, with nobody enrolled, also one that the trusted
    key signed. Raises ``PolicyError``.
    """
    shipped = is_shipped(package.manifest_sha256)
    if sealed is not None:
        try:
            sealed.check(package.manifest_sha256)
        except PolicyError as error:
            if not shipped:
                raise
            raise PolicyError(
                f"{error}, but the one that ships with this release of edge-unlock",
                "Run `edge-unlock model accept`: it shows what changes, and who has to enroll "
                "again. Nobody does where only thresholds were set anew.",
            ) from error
    if shipped:
        return Trust.PINNED
    if package.is_signed and (sealed is not None or is_new):
        return Trust.SIGNED
    if sealed is not None:
        return Trust.ACCEPTED
    manifest = package.manifest
    raise PolicyError(
        f"the model package {manifest.name} {manifest.version} is not the one that ships, "
        "and was not accepted for this vault"
    )


def policy_for(
    package: ModelPackage,
    *,
    false_accept_rate: float | None = None,
    idle_limit_hours: float | None = None,
    flags: frozenset[str] = frozenset(),
) -> Policy:
    """The policy that accepts a package."""
    manifest = package.manifest
    thresholds = {point.name: point.threshold for point in manifest.operating_points}
    accepted = AcceptedPackage(package.manifest_sha256, manifest.name, manifest.version, thresholds)
    return Policy(accepted, false_accept_rate, idle_limit_hours, flags)
