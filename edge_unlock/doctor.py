"""Checks an installation, part by part, and says what to do about each fault.

Each check imports what it needs: a broken library is a finding, and no end of all checks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_unlock import demo
from edge_unlock.errors import EdgeUnlockError
from edge_unlock.vault import KeyFile, Passphrase, SystemdCredential

if TYPE_CHECKING:
    from edge_unlock.audio import Samples
    from edge_unlock.encoder.package import ModelPackage
    from edge_unlock.lock.trust import Trust
    from edge_unlock.service.status import Status
    from edge_unlock.vault import Vault

MICROPHONE_S = 2.0
FRAME_SAMPLES = 512
MIN_RATE_HZ = 12_000
"""A microphone that delivers fewer samples a second has no wide-band speech."""

MIN_PEAK_DBFS = -80.0
"""A microphone below this is muted: even a silent room is louder through an amplifier."""

MAX_NOISE_DBFS = -35.0
"""In a room louder than this, speech at arm's length is not 10 dB above the noise."""

PROTECTION = {
    KeyFile.kind: "protects a copied vault, not a stolen card",
    Passphrase.kind: "protects a stolen card as well as the passphrase is strong",
    SystemdCredential.kind: "protects a copied vault, and with a TPM a stolen card",
}

KEY_WITHIN_HINT = "Name a place elsewhere with `keyfile` in config.toml, and rekey."


@dataclass(frozen=True)
class Finding:
    """Result of one check: what was found, and what to do if it is not well."""

    check: str
    passed: bool
    detail: str
    hint: str = ""


def examine(
    load_model: Callable[[], ModelPackage],
    trust: Callable[[], Trust],
    open_vault: Callable[[], Vault],
    device: str | int | None,
    status: Callable[[], Status | None] = lambda: None,
) -> Iterator[Finding]:
    """Run all checks; a check that raises has failed, and the others still run.

    One that returns has passed: it gives the detail, and perhaps a hint. Where something listens
    already, its ``status`` tells how the microphone does, which is in use.
    """
    checks: list[tuple[str, Callable[[], tuple[str, ...]]]] = [
        ("model", lambda: _check_model(load_model, trust)),
        ("voice detection", _check_segmenter),
        ("vault", lambda: _check_vault(open_vault)),
        ("audit log", lambda: _check_log(open_vault)),
        ("microphone", lambda: _check_listener(status) or _check_microphone(device)),
    ]
    for name, check in checks:
        try:
            yield Finding(name, True, *check())
        except EdgeUnlockError as error:
            yield Finding(name, False, str(error), error.hint)
        except (ImportError, OSError) as error:  # how libraries that are broken show it
            yield Finding(name, False, f"a library is broken: {error}", "Install it again.")


def _check_model(
    load_model: Callable[[], ModelPackage], trust: Callable[[], Trust]
) -> tuple[str, ...]:
    import numpy as np

    from edge_unlock.audio import SAMPLE_RATE_HZ
    from edge_unlock.encoder.encoder import Encoder

    package, vouched = load_model(), trust()  # before it is run
    samples = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE_HZ).astype(np.float32)
    Encoder(package).embed(samples, SAMPLE_RATE_HZ)
    manifest = package.manifest
    points = ", ".join(
        f"{point.name} at {point.threshold:.3f}" for point in manifest.operating_points
    )
    calibrated = "calibrated" if manifest.calibration else "not calibrated"
    return (
        f"{manifest.name} {manifest.version}, {vouched}, {calibrated}; operating points: {points}",
    )


def _check_segmenter() -> tuple[str, ...]:
    from edge_unlock.audio import File
    from edge_unlock.segmentation.segment import Segmenter

    segmenter = Segmenter()
    with File(demo.utterance(demo.OWNER)) as source:
        found = [segment for block in source.blocks() for segment in segmenter.push(block)]
    found += segmenter.flush()
    if not found:
        raise EdgeUnlockError("no speech was found in a recording of speech", "Install again.")
    return ("finds the speech in the demo's recording",)


def _check_vault(open_vault: Callable[[], Vault]) -> tuple[str, ...]:
    vault = open_vault()
    vault.check_writable()
    found = f"{len(vault.users())} enrolled; {vault.key_kind}"
    if vault.key_lies_within:
        return (f"{found}: protects nothing, for it lies in the state directory", KEY_WITHIN_HINT)
    return (f"{found}: {PROTECTION[vault.key_kind]}",)


def _check_log(open_vault: Callable[[], Vault]) -> tuple[str, ...]:
    return (f"whole: {open_vault().audit.extent()}",)


def _check_listener(status: Callable[[], Status | None]) -> tuple[str, ...] | None:
    """How the microphone of what listens already does; None if nothing does."""
    found = status()
    if found is None:
        return None
    microphone = found.microphone
    detail = (
        f"{microphone.name}: in use by `listen`, process {found.pid}; failed {microphone.losses} "
        f"times, samples lost {microphone.overruns} times since {found.since}"
    )
    if not microphone.delivers:
        raise EdgeUnlockError(f"{detail}; {microphone.error}", "Is it plugged in?")
    return (detail,)


def _check_microphone(device: str | int | None) -> tuple[str, ...]:
    import numpy as np

    from edge_unlock.audio import SAMPLE_RATE_HZ, Microphone
    from edge_unlock.segmentation.bandwidth import bandwidth_hz
    from edge_unlock.segmentation.conditioning import Conditioner
    from edge_unlock.segmentation.segment import dbfs

    blocks: list[Samples] = []
    with Microphone(device) as microphone:
        until = time.monotonic() + MICROPHONE_S
        for block in microphone.blocks():
            blocks.append(block)
            if time.monotonic() >= until:
                break
        name, overruns, format_ = microphone.name, microphone.overruns, microphone.format
        rate_hz = microphone.rate_hz
    recorded = np.concatenate(blocks)
    samples = Conditioner().push(recorded)  # as all that is judged
    peak_dbfs = dbfs(float(np.square(samples).max()))
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    levels = [dbfs(float(np.mean(np.square(frame)))) for frame in frames]
    noise_dbfs = float(np.percentile(levels, 10))
    detail = (
        f"{name}: {format_}; noise floor {noise_dbfs:.0f} dBFS, peak {peak_dbfs:.0f} dBFS, "
        f"offset {recorded.mean():.1%}, sound up to {bandwidth_hz(samples) / 1000:.1f} kHz, "
        f"{overruns} overruns in {len(samples) / SAMPLE_RATE_HZ:.1f} s"
    )
    if overruns:
        raise EdgeUnlockError(detail, "The computer does not keep up: stop other programs.")
    if rate_hz < MIN_RATE_HZ:
        raise EdgeUnlockError(
            detail, "This is telephone quality: use another microphone, or its wide-band mode."
        )
    if peak_dbfs < MIN_PEAK_DBFS:
        raise EdgeUnlockError(detail, "It is muted: raise its level with `alsamixer`.")
    if noise_dbfs > MAX_NOISE_DBFS:
        raise EdgeUnlockError(detail, "Too loud: lower its level, or find a quieter place.")
    return (detail,)
