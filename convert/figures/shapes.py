"""What quantization costs networks of several shapes: the table in convert/README.md.

    python convert/figures/shapes.py RECIPE --voices VOICES --speech MANIFEST --work DIRECTORY

Each shape is trained for ``--steps`` steps as the recipe says (its weights shall be trained ones,
not good ones), converted as ``quantize`` does it, and compared on the split ``eval``.
``VOICES`` is what ``edge-unlock-convert voices`` made. A shape whose training is finished in
``DIRECTORY`` is not trained again.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch

from edge_unlock_convert import checkpoint
from edge_unlock_convert.front_end import read_front_end
from edge_unlock_convert.network import Pooling
from edge_unlock_convert.packaging import quantize
from edge_unlock_convert.packaging.manifest import Identity
from edge_unlock_convert.quantization import compare
from edge_unlock_convert.speech import Source
from edge_unlock_convert.terminal import stage
from edge_unlock_convert.training.recipe import Recipe
from edge_unlock_convert.training.train import Training
from edge_unlock_convert.training.voices import VoiceSet

FRAMES_STACKED = 3
NO_LIMITS = compare.Limits(min_cosine=-1.0, max_eer_delta=1.0, allow_useless=True)
"""Every shape belongs into the table, the worst most of all."""


class Shape(NamedTuple):
    """LSTM layers of so many units; ``projection`` as in ``recipe.Network``."""

    layers: int
    hidden: int
    pooling: Pooling
    projection: int = 0

    def __str__(self) -> str:
        projected = f", projection {self.projection}" if self.projection else ""
        return f"{self.layers}x{self.hidden}{projected}"


SHAPES = (
    Shape(1, 128, "attention"),
    Shape(2, 256, "attention"),
    Shape(2, 192, "mean", projection=64),
    Shape(3, 256, "last"),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--voices", type=Path, required=True)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    base = Recipe.load(arguments.recipe)
    print(
        "| network | pooling | size, float to int8 | cosine median | 1st percentile | least "
        "| EER float to int8 | change, points (95%) |\n| --- | --- | --- | --- | --- | --- | --- "
        "| --- |"
    )
    for shape in SHAPES:
        directory = arguments.work / str(shape).replace(", ", "-").replace(" ", "-")
        recipe = recipe_of(shape, base, arguments.steps)
        if not (directory / checkpoint.PROJECT_CHECKPOINT_NAME).exists():
            train(recipe, arguments.voices, directory)
        print(row(shape, convert(directory, arguments.speech)), flush=True)


def recipe_of(shape: Shape, base: Recipe, steps: int) -> Recipe:
    """The recipe with another network, and a short training."""
    network = msgspec.structs.replace(
        base.network,
        layers=shape.layers,
        hidden=shape.hidden,
        pooling=shape.pooling,
        projection=shape.projection,
        frames_stacked=FRAMES_STACKED,
    )
    optimization = msgspec.structs.replace(base.optimization, steps=steps)
    return msgspec.structs.replace(
        base, name=str(shape), network=network, optimization=optimization
    )


def train(recipe: Recipe, voices: Path, directory: Path) -> None:
    """Leave a finished checkpoint in the directory."""
    recorded = [VoiceSet.load(voices, f"v{variant}") for variant in range(recipe.variants)]
    training = Training(recipe, recorded)
    training.run()
    training.save(directory)


def convert(directory: Path, speech: Path) -> compare.Comparison:
    """Take the ranges from the split train, compare on 500 utterances of the split eval."""
    job = quantize.Job(
        checkpoint=directory,
        options=checkpoint.Options(),
        front_end=read_front_end(directory / "front_end.json"),
        speech=Source(speech, "train"),
        test_speech=Source(speech, "eval"),
        recipe=quantize.Recipe(scheme="int8", limits=NO_LIMITS),
        identity=Identity(directory.name),
    )
    return quantize.quantize(job, stage).comparison


def row(shape: Shape, result: compare.Comparison) -> str:
    """A line of the table."""
    rates = result.error_rates
    if rates is None:
        raise SystemExit("the speech names too few speakers")
    low, high = (100 * end for end in rates.eer_delta_interval)
    return (
        f"| {shape} | {shape.pooling} | {result.float_bytes:,} to {result.quantized_bytes:,} B "
        f"| {result.cosine_median:.5f} | {result.cosine_p1:.5f} | {result.cosine_min:.5f} "
        f"| {100 * rates.eer_float:.2f} to {100 * rates.eer_quantized:.2f}% "
        f"| {100 * rates.eer_delta:+.2f} ({low:+.2f} to {high:+.2f}) |"
    )


if __name__ == "__main__":
    main()
