"""The table of calibration recipes in convert/README.md.

    python convert/figures/ranges.py CHECKPOINT MANIFEST [--split train] > table.md

Choices are made on training speech: the first utterance of a speaker calibrates, further ones
are compared.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_unlock.features import Float32
from edge_unlock_convert import checkpoint, compare, quantize
from edge_unlock_convert.calibration import RANGES, Range
from edge_unlock_convert.front_end import read_front_end
from edge_unlock_convert.network import LstmLayer, Network
from edge_unlock_convert.speech import Source, Speech

TOGETHER = 6
SPEAKERS = 100
CLIPS = np.linspace(0.5, 1.0, 26)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--split", default="train")
    arguments = parser.parse_args()
    front_end = read_front_end(arguments.checkpoint / "front_end.json")
    pooling = front_end.encoder.pooling
    network = checkpoint.read(arguments.checkpoint, checkpoint.Options(pooling=pooling))
    speech = Speech(
        Source(arguments.speech, arguments.split), SPEAKERS * TOGETHER, together=TOGETHER
    )
    calibrating: dict[str | None, Float32] = {}
    compared, speakers = [], []
    for recording in speech.recordings(front_end.features.sample_rate_hz):
        steps = front_end.steps(recording.samples)
        if not len(steps):
            continue
        if recording.speaker not in calibrating:
            calibrating[recording.speaker] = steps
        else:
            compared.append(steps)
            speakers.append(recording.speaker)
    inputs = list(calibrating.values())
    print(f"{len(inputs)} calibration utterances, {len(compared)} compared\n")
    print("| recipe | utterances | cosine median | 1st percentile | least | SQNR | EER change |")
    print("| --- | --- | --- | --- | --- | --- | --- |")

    def row(name: str, count: int, method: Range, source: Network) -> None:
        model = quantize.convert(source, inputs[:count], "int8", method)
        embedded = compare.embed(network, model, compared, pooling)
        result, _ = compare.compare(embedded, speakers, 0, len(model))
        rates = result.error_rates
        change = "-" if rates is None else f"{100 * rates.eer_delta:+.3f}"
        print(
            f"| {name} | {min(count, len(inputs))} | {result.cosine_median:.5f} "
            f"| {result.cosine_p1:.5f} | {result.cosine_min:.5f} "
            f"| {result.sqnr_db['embedding']:.1f} dB | {change} |",
            flush=True,
        )

    for method in RANGES:
        row(f"input {method}", 100, method, network)
    for count in (3, 10, 30):
        row("input minmax", count, "minmax", network)
    row("input minmax, weights clipped for least squared error", 100, "minmax", clipped(network))


def clipped(network: Network) -> Network:
    """The network with every gate's matrix clipped to the range of least int8 error."""

    def clip(matrix: Float32) -> Float32:
        gates = np.split(matrix, 4)
        return np.concatenate([np.clip(gate, -limit(gate), limit(gate)) for gate in gates])

    layers = [
        LstmLayer(clip(layer.input_weights), clip(layer.recurrent_weights), layer.bias)
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


def limit(matrix: Float32) -> float:
    """The magnitude at which rounding to int8 and clipping cost least together."""
    top = float(np.abs(matrix).max())
    errors = []
    for share in CLIPS:
        scale = top * share / 127
        errors.append(np.square(np.clip(np.rint(matrix / scale), -127, 127) * scale - matrix).sum())
    return top * float(CLIPS[int(np.argmin(errors))])


if __name__ == "__main__":
    main()
