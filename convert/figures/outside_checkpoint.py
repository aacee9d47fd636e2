"""A checkpoint from outside: the 3x256 LSTM of the package ``resemblyzer`` to int8.

    pip download --no-deps resemblyzer && unzip Resemblyzer-*.whl
    python convert/figures/outside_checkpoint.py resemblyzer/pretrained.pt MANIFEST

Its front end is not that of the device (mel powers without a logarithm), so the network is
fed as it was trained and compared float against int8 on the same inputs. Each power is
divided by a scale of its own first and the scales are multiplied into the input weights, which
leaves the float network the same: the deviation of the power, or a scale that shares the
difficulty of rounding between the inputs and the weights (``--strength``).
"""

import argparse
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert import checkpoint
from edge_unlock_convert.network import LstmLayer, Network
from edge_unlock_convert.packaging.card import quantization_rows
from edge_unlock_convert.packaging.comparison import TARGET_UTTERANCES
from edge_unlock_convert.quantization import compare
from edge_unlock_convert.quantization.clipping import WEIGHT_RANGES
from edge_unlock_convert.quantization.conversion import convert
from edge_unlock_convert.quantization.ranges import RANGES
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
    parser.add_argument("--weight-ranges", nargs="*", choices=WEIGHT_RANGES, default=["minmax"])
    parser.add_argument("--split", default="eval")
    parser.add_argument("--strength", type=float, help="Equalize so much (0 to 1).")
    parser.add_argument("--percentile", type=float, default=100.0, help="Clip powers above.")
    arguments = parser.parse_args()
    options = checkpoint.Options(embedding=["linear"], activation=["relu"])
    network = checkpoint.read(arguments.checkpoint, options)
    representative = [
        mel_powers(one.samples)
        for one in Speech(Source(arguments.speech, "train"), 100).recordings(RATE_HZ)
    ]
    compared, speakers = [], []
    speech = Speech(
        Source(arguments.speech, arguments.split),
        arguments.utterances,
        together=TARGET_UTTERANCES,
    )
    for recording in speech.recordings(RATE_HZ):
        compared.append(mel_powers(recording.samples))
        speakers.append(recording.speaker)
    powers = np.concatenate(representative)
    if arguments.strength is None:
        scales = powers.std(axis=0)
    else:
        scales = equalizing_scales(network, powers, arguments.strength, arguments.percentile)
    limit = np.percentile(powers / scales, arguments.percentile)
    scaled = rescale(network, scales)
    inputs = [np.minimum(one / scales, limit) for one in representative]
    tests = [one / scales for one in compared]
    for scheme, method, weight_range in itertools.product(
        arguments.schemes, arguments.ranges, arguments.weight_ranges
    ):
        model = convert(scaled, inputs, scheme, method, weight_range)
        embedded = compare.embed(scaled, model, tests, "last")
        result, _ = compare.compare(embedded, speakers, 4 * network.parameters, len(model))
        print(f"\n## {scheme}, input range {method}, weight range {weight_range}\n")
        print("| figure | value |\n| --- | --- |")
        for row in quantization_rows(result):
            print(f"| {row[0]} | {row[1]} |", flush=True)


def equalizing_scales(
    network: Network, powers: Float32, strength: float, percentile: float
) -> Float32:
    """Scale (40,) of each power: ``reach^a / weight^(1 - a)`` with the strength ``a``.

    SmoothQuant's formula (Xiao et al. 2023), with percentiles for the greatest input and the
    root mean square for the greatest weight, both of which single numbers would decide.
    """
    reach = np.percentile(powers, percentile, axis=0)
    weight = np.sqrt(np.mean(np.square(network.layers[0].input_weights), axis=0))
    scales: Float32 = (reach**strength / weight ** (1 - strength)).astype(np.float32)
    return scales


def rescale(network: Network, scales: Float32) -> Network:
    """The network that gives for ``x / scales`` what this one gives for ``x``."""
    first = network.layers[0]
    wider = LstmLayer(first.input_weights * scales, first.recurrent_weights, first.bias)
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
