"""What recipes of quantization cost: tables in convert/README.md.

    python convert/figures/quantization.py CHECKPOINT MANIFEST [--split train] [--only WORDS]

Choices are made on training speech: the first utterance of each of 300 speakers is the
representative speech, the next five of the first 100 are compared. A row is a recipe; ``--only``
takes those whose name holds the words. Times are of the processor, for one step.
"""

import argparse
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from edge_unlock.encoder import network as device
from edge_unlock.encoder.features import Float32
from edge_unlock_convert import checkpoint
from edge_unlock_convert.front_end import FrontEnd, read_front_end
from edge_unlock_convert.network import Network
from edge_unlock_convert.quantization import compare
from edge_unlock_convert.quantization.clipping import WeightRange
from edge_unlock_convert.quantization.conversion import convert
from edge_unlock_convert.quantization.lowering import SCHEMES, Scheme
from edge_unlock_convert.quantization.ranges import RANGES, Range
from edge_unlock_convert.speech import Recording, Source, Speech

REPRESENTATIVE_SPEAKERS, COMPARED_SPEAKERS, TOGETHER = 300, 100, 6
COUNTS = (10, 30, 100, 300)
TIMED_STEPS, TIMED_RUNS = 1000, 5


class Row(NamedTuple):
    """One recipe."""

    name: str
    representative_utterances: int = 100
    scheme: Scheme = "int8"
    range: Range = "minmax"
    weight_range: WeightRange = "minmax"


ROWS = (
    *(Row(f"scheme {scheme}", scheme=scheme) for scheme in SCHEMES),
    *(Row(f"dynamic, representative {count}", count, "dynamic") for count in COUNTS),
    *(Row(f"input {method}", range=method) for method in RANGES),
    *(Row(f"int8, representative {count}", count) for count in COUNTS),
    Row("weights output", weight_range="output"),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    front_end = read_front_end(arguments.checkpoint / "front_end.json")
    pooling = front_end.encoder.pooling
    network = checkpoint.read(arguments.checkpoint, checkpoint.Options(pooling=pooling))
    source = Source(arguments.speech, arguments.split)
    rate_hz = front_end.features.sample_rate_hz
    representative = Speech(source, REPRESENTATIVE_SPEAKERS).recordings(rate_hz)
    inputs = [steps for _, steps in prepare(representative, front_end)]
    speech = Speech(source, COMPARED_SPEAKERS * TOGETHER, together=TOGETHER)
    compared, speakers = [], []
    seen: set[str | None] = set()
    for speaker, steps in prepare(speech.recordings(rate_hz), front_end):
        if speaker in seen:
            compared.append(steps)
            speakers.append(speaker)
        seen.add(speaker)
    print(f"{len(inputs)} representative utterances, {len(compared)} compared\n")
    print("| recipe | utterances | cosine median | 1% | least | SQNR | EER change | step |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in ROWS:
        if arguments.only not in row.name:
            continue
        count = row.representative_utterances
        model = convert(network, inputs[:count], row.scheme, row.range, row.weight_range)
        embedded = compare.embed(network, model, compared, pooling)
        result, _ = compare.compare(embedded, speakers, 0, len(model))
        rates = result.error_rates
        change = "-" if rates is None else f"{100 * rates.eer_delta:+.3f}"
        print(
            f"| {row.name} | {min(count, len(inputs))} | {result.cosine_median:.5f} "
            f"| {result.cosine_p1:.5f} | {result.cosine_min:.5f} "
            f"| {result.sqnr_db['embedding']:.1f} dB | {change} "
            f"| {1e6 * step_s(model, network, compared[0]):.0f} us |",
            flush=True,
        )


def step_s(model: bytes, network: Network, steps: Float32) -> float:
    """The time of one step of the device, the least of several runs."""
    width, attention = steps.shape[1], network.attention is not None
    running = device.Network(model, width, network.embedding_size, attention=attention)
    taken = []
    for _ in range(TIMED_RUNS):
        begun = time.process_time()
        for number in range(TIMED_STEPS):
            running.step(steps[number % len(steps)])
        taken.append((time.process_time() - begun) / TIMED_STEPS)
    return min(taken)


def prepare(
    recordings: Iterable[Recording], front_end: FrontEnd
) -> Iterator[tuple[str | None, Float32]]:
    """Speaker and network input of the recordings that are long enough for a step."""
    for recording in recordings:
        steps = front_end.steps(recording.samples)
        if len(steps):
            yield recording.speaker, steps


if __name__ == "__main__":
    main()
