"""A checkpoint from outside: the 3x256 LSTM of the package ``resemblyzer`` to int8.

    pip download --no-deps resemblyzer && unzip Resemblyzer-*.whl
    python convert/figures/resemblyzer.py resemblyzer/pretrained.pt MANIFEST

Its front end is not that of the device (mel powers without a logarithm), so the network is
fed as it was trained and compared float against int8 on the same inputs. Each power is
divided by its deviation first, and the deviations are multiplied into the input weights,
which leaves the float network the same and gives every coefficient the same share of the
int8 range.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_unlock.features import Float32
from edge_unlock_convert import checkpoint, compare, quantize
from edge_unlock_convert.calibration import RANGES
from edge_unlock_convert.card import quantization_rows
from edge_unlock_convert.network import LstmLayer, Network
from edge_unlock_convert.speech import Source, Speech

RATE_HZ, WINDOW, HOP, MELS = 16_000, 400, 160, 40
VOLUME_DBFS = -30.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--utterances", type=int, default=500)
    parser.add_argument("--ranges", nargs="*", choices=RANGES, default=["mse"])
    parser.add_argument("--schemes", nargs="*", default=["int8"])
    parser.add_argument("--split", default="eval")
    arguments = parser.parse_args()
    options = checkpoint.Options(
        embedding=["linear"],
        embedding_activation="relu",
        drop=["similarity_weight", "similarity_bias"],
    )
    network = checkpoint.read(arguments.checkpoint, options)
    calibrating = [
        mel_powers(one.samples)
        for one in Speech(Source(arguments.speech, "train"), 100).recordings(RATE_HZ)
    ]
    compared, speakers = [], []
    speech = Speech(
        Source(arguments.speech, arguments.split),
        arguments.utterances,
        together=quantize.TARGET_UTTERANCES,
    )
    for recording in speech.recordings(RATE_HZ):
        compared.append(mel_powers(recording.samples))
        speakers.append(recording.speaker)
    deviation = np.concatenate(calibrating).std(axis=0)
    scaled = rescale(network, deviation)
    for scheme in arguments.schemes:
        for method in arguments.ranges:
            model = quantize.convert(
                scaled, [one / deviation for one in calibrating], scheme, method
            )
            embedded = compare.embed(scaled, model, [one / deviation for one in compared], "last")
            result, _ = compare.compare(embedded, speakers, 4 * network.parameters, len(model))
            print(f"\n## {scheme}, input range {method}\n\n| figure | value |\n| --- | --- |")
            for row in quantization_rows(result):
                print(f"| {row[0]} | {row[1]} |", flush=True)


def rescale(network: Network, deviation: Float32) -> Network:
    """The network that gives for ``x / deviation`` what this one gives for ``x``."""
    first = network.layers[0]
    wider = LstmLayer(first.input_weights * deviation, first.recurrent_weights, first.bias)
    return replace(network, layers=(wider, *network.layers[1:]))


def mel_powers(samples: Float32) -> Float32:
    """What ``resemblyzer.audio`` computes, (frames, 40): librosa's melspectrogram, not its log."""
    level = 20 * np.log10(np.sqrt(np.mean(np.square(samples, dtype=np.float64))) + 1e-12)
    if level < VOLUME_DBFS:
        samples = samples * np.float32(10 ** ((VOLUME_DBFS - level) / 20))
    padded = np.pad(samples, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    window = np.hanning(WINDOW + 1)[:-1]
    power = np.abs(np.fft.rfft(frames * window, WINDOW)) ** 2
    powers: Float32 = (power @ mel_filters().T).astype(np.float32)
    return powers


def mel_filters() -> Float32:
    """Slaney's mel filterbank (40, 201), each filter of the same area, as librosa has it."""
    edges_hz = _hertz(np.linspace(_mel(0.0), _mel(RATE_HZ / 2), MELS + 2))
    bins_hz = np.linspace(0, RATE_HZ / 2, WINDOW // 2 + 1)
    rising = (bins_hz - edges_hz[:-2, None]) / np.diff(edges_hz)[:-1, None]
    falling = (edges_hz[2:, None] - bins_hz) / np.diff(edges_hz)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    filters: Float32 = triangles * (2 / (edges_hz[2:] - edges_hz[:-2]))[:, None]
    return filters


LINEAR_HZ_PER_MEL, LOG_START_HZ, LOG_STEP = 200 / 3, 1000.0, np.log(6.4) / 27


def _mel(hertz: float) -> float:
    if hertz < LOG_START_HZ:
        return hertz / LINEAR_HZ_PER_MEL
    return LOG_START_HZ / LINEAR_HZ_PER_MEL + float(np.log(hertz / LOG_START_HZ)) / LOG_STEP


def _hertz(mels: Float32) -> Float32:
    start = LOG_START_HZ / LINEAR_HZ_PER_MEL
    linear = mels * LINEAR_HZ_PER_MEL
    return np.where(mels < start, linear, LOG_START_HZ * np.exp(LOG_STEP * (mels - start)))


if __name__ == "__main__":
    main()
