"""What decisions are made by, as the vault's owner has agreed to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final

from edge_unlock.errors import PolicyError, VaultError

MAX_POINTS: Final = 16  # as many as a model manifest may have
SOLE_FACTOR: Final = "sole-factor"
"""A voice alone may log somebody in. A voice can be recorded: without this flag it does not."""

_FLAGS: Final = frozenset({SOLE_FACTOR})
_DIGEST_BYTES: Final = 32


@dataclass(frozen=True)
class AcceptedPackage:
    """A model package, by what stands for all of it, and what a person is told of it."""

    manifest_sha256: bytes
    """SHA-256 of its ``manifest.json``: network, thresholds, calibration and cohort, 32 bytes."""
    name: str
    version: str
    thresholds: Mapping[str, float]
    """The score that each operating point needs, to be compared with another package's."""

    def __post_init__(self) -> None:
        if len(self.manifest_sha256) != _DIGEST_BYTES or len(self.thresholds) > MAX_POINTS:
            raise VaultError("this model package cannot be sealed", "use another model package")


@dataclass(frozen=True)
class Policy:
    """What is sealed in the vault's manifest, so that no file beside it can weaken a decision."""

    package: AcceptedPackage
    false_accept_rate: float | None = None
    """Decided at where nothing stricter is asked for; None: the package's default."""
    idle_limit_hours: float | None = None
    """After so long without an acceptance voice alone no longer suffices; None: it always does."""
    flags: frozenset[str] = field(default_factory=frozenset)
    """Risks that the owner takes, such as ``SOLE_FACTOR``; what is not known is refused."""

    def __post_init__(self) -> None:
        rate, hours = self.false_accept_rate, self.idle_limit_hours
        if rate is not None and not 0 < rate < 1:
            raise VaultError(f"{rate} is no false-accept rate", "name one between 0 and 1")
        if hours is not None and not (isfinite(hours) and hours > 0):
            raise VaultError(f"{hours} is no number of hours", "name one above 0")
        if not self.flags <= _FLAGS:
            raise VaultError(
                "the vault's policy has flags that are unknown to this release",
                "upgrade edge-unlock",
            )

    def check(self, manifest_sha256: bytes) -> None:
        """Raise PolicyError unless this is the accepted package, by its manifest's SHA-256."""
        if manifest_sha256 != self.package.manifest_sha256:
            raise PolicyError(
                f"this model package is not the one that the vault accepts, {self.package.name} "
                f"{self.package.version} ({self.package.manifest_sha256.hex()[:12]})"
            )


def policy_to_json(policy: Policy) -> dict[str, Any]:
    """Return a policy as JSON values."""
    package = policy.package
    return {
        "manifest_sha256": package.manifest_sha256.hex(),
        "name": package.name,
        "version": package.version,
        "thresholds": dict(package.thresholds),
        "false_accept_rate": policy.false_accept_rate,
        "idle_limit_hours": policy.idle_limit_hours,
        "flags": sorted(policy.flags),
    }


def policy_from_json(fields: Mapping[str, Any]) -> Policy:
    """Undo ``policy_to_json``; KeyError, TypeError or ValueError when it cannot be."""
    package = AcceptedPackage(
        bytes.fromhex(fields["manifest_sha256"]),
        str(fields["name"]),
        str(fields["version"]),
        {str(name): float(score) for name, score in fields["thresholds"].items()},
    )
    rate, hours = fields["false_accept_rate"], fields["idle_limit_hours"]
    return Policy(
        package,
        None if rate is None else float(rate),
        None if hours is None else float(hours),
        frozenset(fields["flags"]),
    )
