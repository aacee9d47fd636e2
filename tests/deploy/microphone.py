"""A microphone for a service that listens to a pipe: silence, and what is said into it.

    microphone.py PIPE SAY      whoever writes a recording's name to the file SAY has it heard

Writes raw PCM as `--input -` wants it, in real time, whoever reads or does not.
"""

import sys
import time
from pathlib import Path

import numpy as np
import soundfile
import soxr

RATE_HZ = 16_000
BLOCK = RATE_HZ // 50
HUSH_S = 1.5


def recording(path: str) -> bytes:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    heard = soxr.resample(samples[:, 0], rate_hz, RATE_HZ)
    hush = np.zeros(int(HUSH_S * RATE_HZ), np.float32)
    return (np.concatenate([hush, heard, hush]) * 32_767).astype("<i2").tobytes()


def main(pipe: Path, say: Path) -> None:
    pending = b""
    chance = np.random.default_rng(1)
    with pipe.open("r+b", buffering=0) as out:  # for reading too: it opens without a reader
        due = time.monotonic()
        while True:
            if not pending and say.exists():
                pending = recording(say.read_text().strip())
                say.unlink()
            noise = chance.normal(0, 3, BLOCK).astype("<i2").tobytes()
            block, pending = pending[: 2 * BLOCK], pending[2 * BLOCK :]
            out.write(block + noise[len(block) :])
            due = max(due + BLOCK / RATE_HZ, time.monotonic() - 1)
            time.sleep(max(0, due - time.monotonic()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
