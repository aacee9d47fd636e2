"""The manifest of a package: its name, the files in it, and the thresholds it begins with."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_unlock.encoder.package import Manifest, OperatingPoint, PackagedFile
from edge_unlock_convert.front_end import FrontEnd
from edge_unlock_convert.quantization.compare import PairedTrials
from edge_unlock_convert.scoring import metrics

MODEL_NAME = "model.tflite"
FALSE_ACCEPT_RATES = {"far-1e-2": 1e-2, "far-1e-3": 1e-3}
DEFAULT_OPERATING_POINT = "far-1e-2"
FOLDED = "features"
"""Key of ``accuracy`` in a package whose weights have other features folded in."""


@dataclass(frozen=True)
class Identity:
    """What the manifest says of the package for people: its name, version and training."""

    name: str
    version: str = "1"
    training: Mapping[str, Any] = field(default_factory=dict)


def draft(identity: Identity, front_end: FrontEnd, model: bytes) -> Manifest:
    """The manifest of a model before a threshold is set: that of 1 accepts nobody."""
    return Manifest(
        schema=1,
        name=identity.name,
        version=identity.version,
        model=packaged(MODEL_NAME, model),
        features=front_end.features,
        normalization=front_end.normalization,
        encoder=front_end.encoder,
        operating_points=(
            OperatingPoint(
                name=DEFAULT_OPERATING_POINT,
                false_accept_rate=FALSE_ACCEPT_RATES[DEFAULT_OPERATING_POINT],
                threshold=1.0,
            ),
        ),
        default_operating_point=DEFAULT_OPERATING_POINT,
        training=dict(identity.training),
    )


def operating_points(trials: PairedTrials) -> tuple[OperatingPoint, ...]:
    """Thresholds of the quantized network on the compared speech."""
    target, nontarget = trials.quantized.split()
    return tuple(
        OperatingPoint(
            name=name,
            false_accept_rate=rate,
            threshold=metrics.frr_at_far(target, nontarget, rate).threshold,
        )
        for name, rate in FALSE_ACCEPT_RATES.items()
    )


def packaged(name: str, data: bytes) -> PackagedFile:
    """How the manifest names a file of the package."""
    return PackagedFile(file=name, sha256=hashlib.sha256(data).hexdigest())
