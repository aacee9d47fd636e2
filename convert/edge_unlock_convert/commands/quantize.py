"""``quantize``: a checkpoint to a package."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_unlock_convert.commands.naming import named, naming_options
from edge_unlock_convert.terminal import show, stage

if TYPE_CHECKING:
    from edge_unlock_convert.front_end import Description, FrontEndAnswers

PATH = click.Path(path_type=Path)
MAX_BYTES = 2**20
"""Of what a person writes about a training."""
SCHEMES = ("dynamic", "int8", "float32")
RANGES = ("minmax", "percentile", "mse", "output")
WEIGHT_RANGES = ("minmax", "output")
POOLINGS = ("attention", "mean", "last")


class FiniteRange(click.FloatRange):
    """As click's, which lets pass what is not a number."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, of which there is an order."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return found


@click.command()
@click.argument("checkpoint", type=PATH)
@click.option("--out", type=PATH, required=True, help="Directory of the package to write.")
@click.option(
    "--speech", type=PATH, required=True, help="Representative speech: a folder or table."
)
@click.option("--test-speech", type=PATH, help="Speech to compare on [default: --speech].")
@click.option("--split", help="Split of a manifest to take it from.")
@click.option("--test-split", help="Split of a manifest to compare on.")
@click.option(
    "--front-end",
    metavar="FILE|NAME",
    help="Features it was trained on [default: front_end.json beside the checkpoint].",
)
@click.option(
    "--min-feature-cosine",
    type=FiniteRange(-1, 1),
    default=0.7,
    show_default=True,
    help="Least agreement of embeddings from the device's features with those from its own.",
)
@click.option("--check-audio", type=PATH, help="A recording with a known embedding.")
@click.option(
    "--check-embedding",
    type=PATH,
    help="What the network's own code makes of it: .npy, or a JSON list.",
)
@click.option(
    "--min-check-cosine",
    type=FiniteRange(-1, 1),
    default=0.95,
    show_default=True,
    help="Least cosine of the package's embedding to that.",
)
@click.option(
    "--scheme",
    type=click.Choice(SCHEMES),
    default="dynamic",
    show_default=True,
    help="dynamic: int8 weights and products, inputs rounded by the range of each step; int8: "
    "integers throughout, fixed ranges.",
)
@click.option(
    "--range",
    "method",
    type=click.Choice(RANGES),
    default="minmax",
    show_default=True,
    help="Of the input, with --scheme int8.",
)
@click.option(
    "--weight-range",
    type=click.Choice(WEIGHT_RANGES),
    default="minmax",
    show_default=True,
    help="output: clip LSTM weights where that helps; with --scheme int8.",
)
@click.option(
    "--utterances",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Representative utterances used.",
)
@click.option("--test-utterances", type=click.IntRange(2), default=500, show_default=True)
@click.option(
    "--min-cosine",
    type=FiniteRange(-1, 1),
    default=0.99,
    show_default=True,
    help="Least 1st percentile of the cosine between float and quantized embeddings.",
)
@click.option(
    "--max-eer-delta",
    type=FiniteRange(0),
    default=0.5,
    show_default=True,
    help="Most rise of the EER, in percentage points: of its 95% interval.",
)
@click.option(
    "--allow-useless",
    is_flag=True,
    help="Also where the float network is no better than an untrained one.",
)
@click.option("--name", help="Name in the manifest [default: that of the directory].")
@click.option("--model-version", default="1", show_default=True, help="Version in the manifest.")
@click.option("--training", type=PATH, help="JSON object for the manifest: data and licences.")
@click.option("--force", is_flag=True, help="Replace a package that exists.")
@click.option(
    "--coefficients",
    type=click.IntRange(1),
    default=40,
    show_default=True,
    help="MFCCs a frame, for a checkpoint without front_end.json.",
)
@click.option("--frames-stacked", type=click.IntRange(1), help="Frames a step, likewise.")
@click.option("--pooling", type=click.Choice(POOLINGS), help="Steps to embedding, likewise.")
@click.option(
    "--prior-frames",
    type=FiniteRange(0, 1e6, min_open=True),
    default=100.0,
    show_default=True,
    help="Weight of the training mean in the running mean, likewise.",
)
@naming_options
def quantize(**options: Any) -> None:
    """Convert CHECKPOINT to a model package, and prove what that did to it.

    CHECKPOINT is a directory of this project's training, a PyTorch state dict, a Keras model
    (.keras, .h5, SavedModel) or an ONNX model. Nothing is written when more is lost than
    --min-cosine and --max-eer-delta allow.
    """
    from edge_unlock_convert.front_end import FrontEnd, find_front_end
    from edge_unlock_convert.packaging import quantize as conversion
    from edge_unlock_convert.packaging.card import quantization_rows
    from edge_unlock_convert.packaging.known import KnownEmbedding
    from edge_unlock_convert.packaging.manifest import Identity
    from edge_unlock_convert.packaging.package import (
        check_target,
        package_name,
        write_package,
    )
    from edge_unlock_convert.quantization import compare
    from edge_unlock_convert.speech import Source

    audio, embedding = options["check_audio"], options["check_embedding"]
    if (audio is None) != (embedding is None):
        raise click.UsageError("--check-audio and --check-embedding belong together.")
    if options["scheme"] != "int8" and {options["method"], options["weight_range"]} != {"minmax"}:
        raise click.UsageError("--range and --weight-range need --scheme int8.")
    out: Path = options["out"]
    check_target(out, replace=options["force"])
    name = package_name(out, options["name"])
    given = find_front_end(options["checkpoint"], options["front_end"])
    front_end = given if isinstance(given, FrontEnd) else answers(options, given)
    pooling = front_end.encoder.pooling if isinstance(front_end, FrontEnd) else front_end.pooling
    test_speech = options["test_speech"] or (options["test_split"] and options["speech"])
    job = conversion.Job(
        checkpoint=options["checkpoint"],
        options=named(options, pooling),
        front_end=front_end,
        speech=Source(options["speech"], options["split"]),
        test_speech=Source(test_speech, options["test_split"]) if test_speech else None,
        recipe=conversion.Recipe(
            scheme=options["scheme"],
            range=options["method"],
            weight_range=options["weight_range"],
            representative_utterances=options["utterances"],
            test_utterances=options["test_utterances"],
            limits=compare.Limits(
                options["min_cosine"], options["max_eer_delta"] / 100, options["allow_useless"]
            ),
            min_feature_cosine=options["min_feature_cosine"],
            min_check_cosine=options["min_check_cosine"],
        ),
        identity=Identity(
            name,
            options["model_version"],
            read_object(options["training"]),
        ),
        known=KnownEmbedding(audio, embedding) if audio else None,
    )
    result = conversion.quantize(job, stage)
    write_package(out, result.files, replace=options["force"])
    rows = quantization_rows(result.comparison) + (result.check.rows() if result.check else [])
    rows += [("assumed or left behind", note.removeprefix("assumed: ")) for note in result.notes]
    show(rows, f"{out}: float to {options['scheme']}")


def answers(options: dict[str, Any], described: "Description | None") -> "FrontEndAnswers":
    """What is left open by a description of the features, or where there is none, is assumed."""
    from edge_unlock.encoder.features import FeatureSpec
    from edge_unlock_convert.front_end import PRIOR_FRAMES, FrontEndAnswers

    stacked, pooling = options["frames_stacked"], options["pooling"]
    prior_frames = options.get("prior_frames", PRIOR_FRAMES)
    if described is not None:
        stacked, pooling = described.frames_stacked or stacked, described.pooling or pooling
        return FrontEndAnswers(described, stacked, pooling, prior_frames)
    coefficients: int = options["coefficients"]
    features = FeatureSpec(
        coefficients=coefficients, filters=max(coefficients, FeatureSpec().filters)
    )
    return FrontEndAnswers(features, stacked, pooling, prior_frames)


def read_object(path: Path | None) -> dict[str, Any]:
    """The JSON object in a file; without a file, an empty one."""
    import msgspec

    from edge_unlock_convert.errors import ConversionError

    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            loaded: dict[str, Any] = msgspec.json.decode(file.read(MAX_BYTES), type=dict[str, Any])
    except (OSError, ValueError, RecursionError) as error:
        raise ConversionError(
            f"cannot read {path} as a JSON object: {error}", 'Write {"data": ..., "licence": ...}.'
        ) from error
    return loaded
