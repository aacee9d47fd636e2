"""What a package says of itself, and what its network is made of."""

from pathlib import Path
from typing import Any

import msgspec

from edge_unlock.encoder.package import Manifest, ModelPackage
from edge_unlock.encoder.signature import SIGNATURE_NAME
from edge_unlock_convert.quantization import flatbuffer


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """A package at a glance. ``macs_per_second`` are multiplications a second of audio."""

    manifest: dict[str, Any]
    signed: bool
    size_bytes: int
    operators: dict[str, int]
    tensor_types: dict[str, int]
    macs_per_step: int
    macs_per_second: float

    def to_json(self) -> bytes:
        """For another program."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def rows(self) -> list[tuple[str, str]]:
        """For people."""
        manifest, features = self.manifest, self.manifest["features"]
        encoder = manifest["encoder"]
        points = ", ".join(
            f"{point['name']} {point['threshold']:.4f} (FAR {100 * point['false_accept_rate']:g}%)"
            for point in manifest["operating_points"]
        )
        rows = [
            ("name", f"{manifest['name']}, version {manifest['version']}"),
            ("SHA-256", manifest["model"]["sha256"]),
            ("signature", "present (check it with verify)" if self.signed else "none"),
            ("size", f"{self.size_bytes:,} B"),
            ("operators", _counted(self.operators)),
            ("tensors", _counted(self.tensor_types)),
            ("multiplications a step", f"{self.macs_per_step:,}"),
            ("multiplications a second of audio", f"{self.macs_per_second / 1e6:.1f} million"),
            ("input", f"{features['coefficients']} MFCC x {encoder['frames_stacked']} frames"),
            ("embedding", f"{encoder['embedding_size']}, pooling {encoder['pooling']}"),
            ("operating points", points),
            ("calibrated", "yes" if manifest["calibration"] else "no"),
            ("cohort", "yes" if manifest["cohort"] else "no"),
            ("scores set against", f"{manifest['closest_speakers']} closest of the cohort"),
        ]
        return rows + [
            (f"training: {key}", str(value)) for key, value in manifest["training"].items()
        ]


def inspect(directory: Path) -> Inspection:
    """Read a package as the device does. Raises ``ModelError`` for one that it would refuse."""
    package = ModelPackage.load(directory)
    graph = flatbuffer.read(package.model)
    return Inspection(
        manifest=msgspec.to_builtins(package.manifest),
        signed=(directory / SIGNATURE_NAME).exists(),
        size_bytes=graph.size_bytes,
        operators=graph.operator_counts,
        tensor_types=graph.tensor_types,
        macs_per_step=graph.macs,
        macs_per_second=graph.macs * _steps_per_second(package.manifest),
    )


def _steps_per_second(manifest: Manifest) -> float:
    features = manifest.features
    frames_per_second = features.sample_rate_hz / features.hop_samples
    return frames_per_second / manifest.encoder.frames_stacked


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in counts.items())
