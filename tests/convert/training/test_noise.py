"""What is trained on is not what is tested with."""

from pathlib import Path

import numpy as np
import soundfile

from edge_unlock_convert.training import noise

RATE_HZ = 16_000


def test_no_noise_is_both_trained_on_and_tested(tmp_path: Path) -> None:
    lengths_s = [1] * 8 + [40]
    rows = ["path\tsplit\tcorpus\tspeaker\tsex\tage\tseconds"]
    for number, seconds in enumerate(lengths_s, start=1):
        level = np.full(seconds * RATE_HZ, number / 16, np.float32)
        soundfile.write(tmp_path / f"{number}.wav", level, RATE_HZ)
        rows.append(f"{number}.wav\tnoise\troom\tunknown\t-\t-\t{seconds}")
    manifest = tmp_path / "manifest.tsv"
    manifest.write_text("\n".join(rows) + "\n")
    trained, tested = (
        noise.split_noise(manifest, RATE_HZ, training=part) for part in (True, False)
    )
    short_only = [set(part[part < 0.53].tolist()) for part in (trained, tested)]
    assert not short_only[0] & short_only[1]
    assert len(trained) == (6 + noise.LONG_S) * RATE_HZ
    assert len(tested) == (2 + 10) * RATE_HZ
