"""Real human speech for tests; none of it is in the repository.

It comes from the data directory that lies beside the repository, else from Debian's
``asterisk-core-sounds-en-g722`` (decoded by ffmpeg). Tests never go without: if neither
is there, they fail.
"""

import subprocess
from pathlib import Path

import numpy as np
import soundfile

from edge_unlock.audio import Samples

EVAL = Path(__file__).parents[2] / "shared" / "data" / "eval" / "speechocean762"
PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")


def utterances(count: int) -> list[Samples]:
    """``count`` utterances of at least a second, float32 ``(n,)`` at 16 kHz, always the same."""
    paths = sorted(EVAL.rglob("*.flac"))
    if paths:
        return [_read(path) for path in paths[:: len(paths) // count][:count]]
    # vm-* are whole sentences; digits and letters are too short for most tests
    paths = sorted(PROMPTS.glob("vm-*.g722"))
    decoded = (_decode(path) for path in paths)
    found = [samples for _, samples in zip(range(4 * count), decoded, strict=False)]
    found = [samples for samples in found if samples.size >= 16000][:count]
    if len(found) < count:
        raise RuntimeError("no speech to test with: apt install asterisk-core-sounds-en-g722")
    return found


def _read(path: Path) -> Samples:
    samples, rate_hz = soundfile.read(path, dtype="float32")
    assert rate_hz == 16000
    return samples


def _decode(path: Path) -> Samples:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "f32le", "-ar", "16000", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, "<f4")


def trimmed(samples: Samples) -> Samples:
    """From the first to the last sound whose mean over 160 ms is within 12 dB of the loudest.

    Clicks and breaths at the edges of a recording are shorter or softer.
    """
    chunks = samples[: samples.size // 512 * 512].reshape(-1, 512)
    powers = np.convolve(chunks.var(axis=1), np.full(5, 0.2), "same")
    loud = np.flatnonzero(powers > powers.max() * 10**-1.2)
    return chunks[loud[0] : loud[-1] + 1].ravel()
