"""A checkpoint to a verified model package."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from numpy.typing import ArrayLike

from edge_unlock.encoder.features import FeatureSpec, Float32, Normalization
from edge_unlock.encoder.package import (
    MANIFEST_NAME,
    EncoderSpec,
    Manifest,
    OperatingPoint,
    PackagedFile,
)
from edge_unlock_convert import checkpoint
from edge_unlock_convert.checkpoint.assembly import POOLING_UNKNOWN, told
from edge_unlock_convert.errors import CheckpointError, ConversionError
from edge_unlock_convert.front_end import (
    PRIOR_FRAMES,
    Agreement,
    Description,
    FrontEnd,
    Own,
    fold,
    measure_normalization,
)
from edge_unlock_convert.network import Network, Pooling
from edge_unlock_convert.packaging import card
from edge_unlock_convert.packaging.known import Check, Encodings, KnownEmbedding
from edge_unlock_convert.packaging.untrained import untrained
from edge_unlock_convert.quantization import compare, flatbuffer, ranges
from edge_unlock_convert.quantization.clipping import WeightRange, clip_weights
from edge_unlock_convert.quantization.lowering import Scheme, lower
from edge_unlock_convert.quantization.ranges import Range
from edge_unlock_convert.scoring import metrics
from edge_unlock_convert.speech import Source, Speech

MODEL_NAME = "model.tflite"
FALSE_ACCEPT_RATES = {"far-1e-2": 1e-2, "far-1e-3": 1e-3}
DEFAULT_OPERATING_POINT = "far-1e-2"

NOT_WEIGHED = "the test speech has too few speakers or trials to weigh its EER: the cosine decided"
FOLDED = "features"
"""Key of the manifest's ``accuracy`` in a package whose weights have other features folded in."""
MIN_FEATURE_COSINE = 0.7
MIN_CHECK_COSINE = 0.95
TARGET_UTTERANCES = 5
"""Of one speaker are compared before those of further ones: three are enrolled."""

Stage = Callable[[str, int | None], AbstractContextManager[compare.Progress]]
"""Opens a stage of the work of so many units (None: unknown); gives what to tell progress to."""


class FrontEndAnswers(NamedTuple):
    """What a person says of the front end of a checkpoint without ``front_end.json``.

    ``features`` are the device's own, or described as a library makes them.
    """

    features: FeatureSpec | Description = FeatureSpec()
    frames_stacked: int | None = None
    pooling: Pooling | None = None
    prior_frames: float = PRIOR_FRAMES


@dataclass(frozen=True)
class Recipe:
    """How to quantize.

    ``test_speech`` is what the comparison is made on (None: the representative speech). At most
    ``representative_utterances`` and ``test_utterances`` of them are used.
    """

    scheme: Scheme = "int8"
    range: Range = "minmax"
    weight_range: WeightRange = "minmax"
    representative_utterances: int = 100
    test_utterances: int = 500
    limits: compare.Limits = field(default_factory=compare.Limits)
    min_feature_cosine: float = MIN_FEATURE_COSINE
    min_check_cosine: float = MIN_CHECK_COSINE


@dataclass(frozen=True)
class Identity:
    """What the manifest says of the package for people: its name, version and training."""

    name: str
    version: str = "1"
    training: Mapping[str, Any] = field(default_factory=dict)


class Result(NamedTuple):
    """What was made: the files of the package, the comparisons that they passed, and what was
    assumed of the checkpoint or left behind.
    """

    files: dict[str, bytes]
    manifest: Manifest
    comparison: compare.Comparison
    notes: tuple[str, ...]
    check: Check | None


def convert(
    network: Network,
    inputs: Sequence[Float32],
    scheme: Scheme,
    method: Range,
    weight_range: WeightRange = "minmax",
) -> bytes:
    """The TFLite model of a network, with the ranges of ``inputs``, each (T, F); checked."""
    if weight_range == "output":
        network = clip_weights(network, inputs)
    model = lower(network, ranges.lay_out(network, inputs, method), scheme)
    flatbuffer.check(flatbuffer.read(model), len(network.layers), scheme)
    return model


def assumptions(answers: FrontEndAnswers) -> tuple[str, ...]:
    """What is taken for granted of the features, where nobody says it."""
    spec = answers.features
    if isinstance(spec, Description):
        return ()
    to_ms = 1000 / spec.sample_rate_hz
    return (
        f"assumed: {spec.coefficients} MFCC of {spec.filters} mel filters from {spec.low_hz:g} to "
        f"{spec.high_hz:g} Hz, windows of {spec.window_samples * to_ms:g} ms every "
        f"{spec.hop_samples * to_ms:g} ms, pre-emphasis {spec.preemphasis:g}",
        "assumed: a running mean is subtracted, which starts at that of the representative "
        f"speech with the weight of {answers.prior_frames:g} frames; deviations are measured on "
        "that speech",
    )


def stacked_frames(input_size: int, answers: FrontEndAnswers) -> int:
    """Frames that make a step of the network. Raises ``CheckpointError`` if none fit."""
    features = answers.features
    size = features.size if isinstance(features, Description) else features.coefficients
    stacked = answers.frames_stacked or input_size // size
    if stacked * size != input_size:
        raise CheckpointError(
            f"the network takes {input_size} inputs a step, which is no multiple of "
            f"{size} coefficients",
            "Say how it was trained: --coefficients and --frames-stacked, or --front-end FILE.",
        )
    return stacked


def complete_front_end(
    network: Network, answers: FrontEndAnswers, samples: Sequence[Float32]
) -> tuple[Network, FrontEnd, Agreement | None]:
    """A front end from what the network and the person say, its normalization measured.

    Features of another origin than the device's are folded into the network; then the third
    says how well. Raises ``CheckpointError`` when something is left open.
    """
    problems = []
    try:
        stacked = stacked_frames(network.input_size, answers)
    except CheckpointError as error:
        problems.append((str(error), error.hint or ""))
    implied = "attention" if network.attention is not None else network.pooling
    pooling = answers.pooling or implied
    if pooling is None:
        problems.append(POOLING_UNKNOWN)
    if problems or pooling is None:
        raise told(problems)
    features = answers.features
    encoder = EncoderSpec(
        frames_stacked=stacked, embedding_size=network.embedding_size, pooling=pooling
    )
    if isinstance(features, Description):
        return fold(network, features, encoder, samples, answers.prior_frames)
    normalization: Normalization = measure_normalization(features, samples, answers.prior_frames)
    front_end = FrontEnd(features=features, normalization=normalization, encoder=encoder)
    return network, front_end, None


def check_fit(network: Network, front_end: FrontEnd) -> None:
    """Whether the front end is that of the network; ``CheckpointError`` says where it is not."""
    spec = front_end.encoder
    hint = "Give the front end that the network was trained with."
    if front_end.input_size != network.input_size:
        raise CheckpointError(
            f"the front end gives {front_end.input_size} numbers a step (coefficients times "
            f"frames stacked), the network takes {network.input_size}",
            hint,
        )
    if spec.embedding_size != network.embedding_size:
        raise CheckpointError(
            f"the front end speaks of embeddings of {spec.embedding_size} numbers, the network "
            f"gives {network.embedding_size}",
            hint,
        )
    if (spec.pooling == "attention") != (network.attention is not None):
        has = "an" if network.attention is not None else "no"
        raise CheckpointError(
            f"the pooling is {spec.pooling!r} and the network has {has} attention output",
            "Name its layer with --attention, or choose another --pooling.",
        )
    if network.pooling is not None and network.pooling != spec.pooling:
        raise CheckpointError(
            f"the pooling is {spec.pooling!r}, the checkpoint itself says {network.pooling!r}",
            hint,
        )


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
    front_end = job.front_end
    speech = Speech(job.speech, recipe.representative_utterances)
    samples, _ = _read_speech(speech, front_end.features.sample_rate_hz, "representative", stage)
    agreement, own = None, None
    if isinstance(front_end, FrontEndAnswers):
        if isinstance(front_end.features, Description):
            own = Own(network, front_end.features)
        network = replace(network, notes=(*network.notes, *assumptions(front_end)))
        with stage("fitting the front end", None):
            network, front_end, agreement = complete_front_end(network, front_end, samples)
    check_fit(network, front_end)
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
    recipe.limits.check(comparison)
    if comparison.error_rates and not recipe.limits.weighs(comparison.error_rates):
        network = replace(network, notes=(*network.notes, NOT_WEIGHED))
    accuracy = {"quantization": msgspec.to_builtins(comparison)}
    if agreement is not None:
        accuracy[FOLDED] = msgspec.to_builtins(agreement)
    manifest = _manifest(job.identity, front_end, model, accuracy, trials)
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


class Encoding(NamedTuple):
    """One encoder in both forms: the float network, its TFLite model, and what feeds both."""

    network: Network
    model: bytes
    front_end: FrontEnd


def compare_on_speech(
    encoding: Encoding, speech: Speech, stage: Stage
) -> tuple[compare.Comparison, compare.PairedTrials | None]:
    """Compare on recordings, through the front end of the device."""
    network, model, front_end = encoding
    rate_hz = front_end.features.sample_rate_hz
    samples, speakers = _read_speech(speech, rate_hz, "test", stage)
    steps = [front_end.steps(one) for one in samples]
    kept = [index for index, one in enumerate(steps) if len(one)]
    with stage("comparing float and quantized", len(kept)) as progress:
        embedded = compare.embed(
            network, model, [steps[index] for index in kept], front_end.encoder.pooling, progress
        )
    named = [speakers[index] for index in kept]
    nothing_learned = None
    if len(set(named) - {None}) >= compare.MIN_SPEAKERS:
        with stage("comparing with an untrained network", len(kept)) as progress:
            nothing_learned = compare.embed_float(
                untrained(network),
                [steps[index] for index in kept],
                front_end.encoder.pooling,
                progress,
            )
    return compare.compare(embedded, named, 4 * network.parameters, len(model), nothing_learned)


def _read_speech(
    speech: Speech, rate_hz: int, purpose: str, stage: Stage
) -> tuple[list[Float32], list[str | None]]:
    samples, speakers = [], []
    with stage(f"reading {purpose} speech", len(speech)) as progress:
        for recording in speech.recordings(rate_hz):
            samples.append(recording.samples)
            speakers.append(recording.speaker)
            progress(1)
    return samples, speakers


def _manifest(
    identity: Identity,
    front_end: FrontEnd,
    model: bytes,
    accuracy: dict[str, Any],
    trials: compare.PairedTrials | None,
) -> Manifest:
    return Manifest(
        schema=1,
        name=identity.name,
        version=identity.version,
        model=PackagedFile(file=MODEL_NAME, sha256=hashlib.sha256(model).hexdigest()),
        features=front_end.features,
        normalization=front_end.normalization,
        encoder=front_end.encoder,
        operating_points=_operating_points(trials),
        default_operating_point=DEFAULT_OPERATING_POINT,
        accuracy=accuracy,
        training=dict(identity.training),
    )


def _operating_points(trials: compare.PairedTrials | None) -> tuple[OperatingPoint, ...]:
    """Thresholds of the quantized network on the compared speech.

    Without named speakers nothing can be set: the threshold is then 1, which accepts nobody,
    until somebody has set one.
    """
    if trials is None:
        return (
            OperatingPoint(
                name=DEFAULT_OPERATING_POINT,
                false_accept_rate=FALSE_ACCEPT_RATES[DEFAULT_OPERATING_POINT],
                threshold=1.0,
            ),
        )
    return operating_points(*trials.quantized.split())


def operating_points(target: ArrayLike, nontarget: ArrayLike) -> tuple[OperatingPoint, ...]:
    """The thresholds that ship, set on the scores of target and non-target trials."""
    return tuple(
        OperatingPoint(
            name=name,
            false_accept_rate=rate,
            threshold=metrics.frr_at_far(target, nontarget, rate).threshold,
        )
        for name, rate in FALSE_ACCEPT_RATES.items()
    )
