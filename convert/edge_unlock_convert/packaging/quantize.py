"""A checkpoint to a verified model package."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from edge_unlock.encoder.package import MANIFEST_NAME, MAX_FILE_BYTES, Manifest
from edge_unlock_convert import checkpoint
from edge_unlock_convert.errors import CheckpointError, ConversionError
from edge_unlock_convert.front_end import Description, FrontEnd, FrontEndAnswers, Own
from edge_unlock_convert.network import Network
from edge_unlock_convert.packaging import card
from edge_unlock_convert.packaging.comparison import (
    TARGET_UTTERANCES,
    Encoding,
    compare_on_speech,
    read_speech,
)
from edge_unlock_convert.packaging.known import Check, Encodings, KnownEmbedding
from edge_unlock_convert.packaging.manifest import (
    FOLDED,
    MODEL_NAME,
    Identity,
    draft,
    operating_points,
)
from edge_unlock_convert.progress import Stage
from edge_unlock_convert.quantization import compare, flatbuffer
from edge_unlock_convert.quantization.clipping import WeightRange
from edge_unlock_convert.quantization.conversion import convert
from edge_unlock_convert.quantization.lowering import Scheme
from edge_unlock_convert.quantization.ranges import Range
from edge_unlock_convert.speech import Source, Speech

NOT_WEIGHED = "the test speech has too few speakers or trials to weigh its EER: the cosine decided"
MIN_FEATURE_COSINE = 0.7
MIN_CHECK_COSINE = 0.95


@dataclass(frozen=True)
class Recipe:
    """How to quantize.

    ``test_speech`` is what the comparison is made on (None: the representative speech). At most
    ``representative_utterances`` and ``test_utterances`` of them are used.
    """

    scheme: Scheme = "dynamic"
    range: Range = "minmax"
    weight_range: WeightRange = "minmax"
    representative_utterances: int = 100
    test_utterances: int = 500
    limits: compare.Limits = field(default_factory=compare.Limits)
    min_feature_cosine: float = MIN_FEATURE_COSINE
    min_check_cosine: float = MIN_CHECK_COSINE


class Result(NamedTuple):
    """What was made: the files of the package, the comparisons that they passed, and what was
    assumed of the checkpoint or left behind.
    """

    files: dict[str, bytes]
    manifest: Manifest
    comparison: compare.Comparison
    notes: tuple[str, ...]
    check: Check | None


class Job(NamedTuple):
    """What to convert, and into what."""

    checkpoint: Path
    options: checkpoint.Options
    front_end: FrontEnd | FrontEndAnswers
    speech: Source
    test_speech: Source | None
    recipe: Recipe
    identity: Identity
    known: KnownEmbedding | None = None


def quantize(job: Job, stage: Stage) -> Result:
    """Convert a checkpoint and compare the result with it.

    Raises ``ConversionError`` in one of its kinds: the checkpoint or the speech cannot be
    used, the conversion failed, or (``QualityError``) too much was lost.
    """
    recipe = job.recipe
    with stage("reading the checkpoint", None):
        network = checkpoint.read(job.checkpoint, job.options)
    _check_size(network)
    front_end = job.front_end
    speech = Speech(job.speech, recipe.representative_utterances)
    samples, _ = read_speech(speech, front_end.features.sample_rate_hz, "representative", stage)
    agreement, own = None, None
    if isinstance(front_end, FrontEndAnswers):
        if isinstance(front_end.features, Description):
            own = Own(network, front_end.features)
        network = replace(network, notes=(*network.notes, *front_end.assumptions()))
        with stage("fitting the front end", None):
            network, front_end, agreement = front_end.complete(network, samples)
    front_end.check_fits(network)
    if agreement is not None:
        agreement.check(recipe.min_feature_cosine)
    inputs = [steps for one in samples if len(steps := front_end.steps(one))]
    if not inputs:
        raise ConversionError("the representative speech is too short", "Give longer recordings.")
    with stage(f"converting to {recipe.scheme}", None):
        model = convert(network, inputs, recipe.scheme, recipe.range, recipe.weight_range)
    check = None
    if job.known is not None:
        check = job.known.compare(Encodings(own, network, model, front_end), inputs)
        check.check(recipe.min_check_cosine)
    comparison, trials = compare_on_speech(
        Encoding(network, model, front_end),
        Speech(job.test_speech or job.speech, recipe.test_utterances, together=TARGET_UTTERANCES),
        stage,
    )
    recipe.limits.check(comparison, features_proven=check is not None)
    if comparison.error_rates and not recipe.limits.weighs(comparison.error_rates):
        network = replace(network, notes=(*network.notes, NOT_WEIGHED))
    accuracy = {"quantization": msgspec.to_builtins(comparison)}
    if agreement is not None:
        accuracy[FOLDED] = msgspec.to_builtins(agreement)
    manifest = msgspec.structs.replace(draft(job.identity, front_end, model), accuracy=accuracy)
    if trials is not None:
        manifest = msgspec.structs.replace(manifest, operating_points=operating_points(trials))
    extra = card.Extra(
        network=network,
        scheme=recipe.scheme,
        range=recipe.range,
        weight_range=recipe.weight_range,
        representative_utterances=len(inputs),
        same_speech=job.test_speech is None,
    )
    files = {
        MODEL_NAME: model,
        MANIFEST_NAME: manifest.to_json(),
        card.NAME: card.render(manifest, flatbuffer.read(model), comparison, extra).encode(),
    }
    return Result(files, manifest, comparison, network.notes, check)


def _check_size(network: Network) -> None:
    """Whether its file, of a byte a parameter at least, could be one that the device reads."""
    if network.parameters > MAX_FILE_BYTES:
        raise CheckpointError(
            f"the network has {network.parameters:,} parameters: the device takes no file of more "
            f"than {MAX_FILE_BYTES >> 20} MiB",
            "Train one of a size for a device.",
        )
