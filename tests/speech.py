"""Real human speech for tests; none of it is in the repository.

It comes from the data directory that lies beside the repository, else from Debian's packages
``asterisk-core-sounds-en-g722`` and ``-it-g722``, decoded by ffmpeg. Tests never go without: if
neither is there, they fail.
"""

import subprocess
from pathlib import Path

import numpy as np
import soundfile

from edge_unlock.audio import Samples

EVAL = Path(__file__).parents[2] / "shared" / "data" / "eval" / "speechocean762"
ADULTS = ("0306", "0981")
"""A woman and a man whom the model tells apart clearly: tests that use them are of the way from
sound to decision. How often the model errs is measured by ``edge-unlock-convert evaluate``."""

PROMPTS = Path("/usr/share/asterisk/sounds")
PROMPT_VOICES = ("en_US_f_Allison", "it_IT_m_Carlo")
LONGEST_S = 6  # longer prompts are several sentences, and so several utterances


def utterances(count: int) -> list[Samples]:
    """``count`` utterances of at least a second, float32 ``(n,)`` at 16 kHz, always the same."""
    paths = sorted(EVAL.rglob("*.flac"))
    if paths:
        return [_read(path) for path in paths[:: len(paths) // count][:count]]
    # vm-* are whole sentences; digits and letters are too short for most tests
    paths = sorted((PROMPTS / PROMPT_VOICES[0]).glob("vm-*.g722"))
    decoded = (_decode(path) for path in paths)
    found = [samples for _, samples in zip(range(4 * count), decoded, strict=False)]
    found = [samples for samples in found if samples.size >= 16000][:count]
    if len(found) < count:
        raise RuntimeError("no speech to test with: apt install asterisk-core-sounds-en-g722")
    return found


def write_speakers(directory: Path, names: tuple[str, ...], count: int) -> dict[str, list[Path]]:
    """Write ``count`` WAV files of one human speaker for each name, in a quiet room."""
    return {
        name: [
            _write(directory / f"{name}-{i}.wav", samples)
            for i, samples in enumerate(_speaker(number, count))
        ]
        for number, name in enumerate(names)
    }


def _speaker(number: int, count: int) -> list[Samples]:
    """``count`` utterances of three seconds or more by the ``number``-th speaker."""
    if EVAL.exists():
        found = [_read(path) for path in sorted((EVAL / ADULTS[number]).glob("*.flac"))]
    else:
        paths = sorted((PROMPTS / PROMPT_VOICES[number]).glob("vm-*.g722"))
        decoded = [_decode(path) for path in paths]
        found = [samples for samples in decoded if samples.size <= LONGEST_S * 16000]
    longest = sorted(found, key=len, reverse=True)[:count]
    if len(longest) < count:
        raise RuntimeError(f"speaker {number} has too few utterances")
    return longest


def _write(path: Path, samples: Samples) -> Path:
    """Put a second of a quiet room before and after the voice, at a usual level."""
    rng = np.random.default_rng(0)
    loud = samples * (0.3 / np.abs(samples).max())
    room = rng.normal(0, 3e-4, samples.size + 32000).astype(np.float32)
    room[16000:-16000] += loud
    soundfile.write(path, room, 16000)
    return path


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
