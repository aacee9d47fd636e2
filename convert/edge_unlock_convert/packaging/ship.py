"""A trained checkpoint to the package that ships: int8, cohort, calibration, thresholds.

All of it is made with training speech: the range of the activations and the cohort with
speakers that were trained on, the calibration and the thresholds with the held-out ones.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.features import Float32
from edge_unlock.encoder.nontarget import USUAL_ENROLLED
from edge_unlock.encoder.package import MANIFEST_NAME, Manifest, ModelPackage
from edge_unlock.encoder.similarity import Similarity, unit
from edge_unlock.errors import ConfigError
from edge_unlock_convert import checkpoint
from edge_unlock_convert.corpus import Utterance, cut_pieces, read_corpus
from edge_unlock_convert.front_end import read_front_end
from edge_unlock_convert.packaging import card, quantize
from edge_unlock_convert.packaging.comparison import TARGET_UTTERANCES, Encoding, compare_on_speech
from edge_unlock_convert.packaging.manifest import MODEL_NAME, Identity, draft, packaged
from edge_unlock_convert.progress import Stage
from edge_unlock_convert.quantization import flatbuffer
from edge_unlock_convert.quantization.conversion import convert
from edge_unlock_convert.scoring import thresholds
from edge_unlock_convert.scoring.metrics import eer
from edge_unlock_convert.speech import Source, Speech
from edge_unlock_convert.training.recipe import Recipe
from edge_unlock_convert.training.sampler import held_out_speakers

COHORT_NAME = "cohort.npy"
COHORT_SPEAKERS = 900
CLOSEST_SPEAKERS, CLOSEST_WEIGHT = 3, 0.25
"""What scores are set against: convert/TRAINING.md has the figures of others."""
REPRESENTATIVE_PIECES = 120
LOUDNESS = (1.0, 0.1, 0.02)
"""The pieces that show the range of the activations are played at these levels in turn."""


class Shipped(NamedTuple):
    """The files of the package, its manifest, and the held-out trials that set its thresholds."""

    files: dict[str, bytes]
    manifest: Manifest
    judged: dict[str, thresholds.Judged]


class Parts(NamedTuple):
    """Training speech, by what it is for."""

    trained: list[Utterance]
    held_out: list[Utterance]

    @classmethod
    def read(cls, source: Path, recipe: Recipe) -> "Parts":
        """Part the train split of a corpus as the training did."""
        every = read_corpus(source, "train")
        held = held_out_speakers(recipe.held_out, [u.speaker for u in every], recipe.seed)
        return cls(
            [u for u in every if u.speaker not in held], [u for u in every if u.speaker in held]
        )


def one_piece_a_speaker(
    utterances: Sequence[Utterance], count: int, rate_hz: int, seed: int
) -> list[tuple[str, Float32]]:
    """Corpora and pieces of ``count`` random speakers, the corpora in turn."""
    generator = np.random.default_rng(seed)
    by_speaker: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        by_speaker.setdefault(utterance.speaker, []).append(utterance)
    queues: dict[str, list[str]] = {}
    for speaker in generator.permutation(sorted(by_speaker)).tolist():
        queues.setdefault(by_speaker[speaker][0].corpus, []).append(speaker)
    chosen: list[str] = []
    while len(chosen) < count and any(queues.values()):
        chosen.extend(queue.pop() for queue in queues.values() if queue)
    return [
        (
            by_speaker[speaker][0].corpus,
            next(iter(cut_pieces(by_speaker[speaker][:4], rate_hz))).samples,
        )
        for speaker in chosen[:count]
    ]


def elsewhere(cohort: Float32, corpora: NDArray[np.str_], corpus: str) -> Float32:
    """The rows of a cohort (N, D) that are not of ``corpus``; all, if too few others are left."""
    rest = cohort[corpora != corpus]
    return rest if len(rest) >= CLOSEST_SPEAKERS else cohort


def ship(source: Path, speech: Path, identity: Identity, stage: Stage) -> Shipped:
    """The package of the checkpoint directory ``source``, and how it fares on held-out speakers.

    ``speech`` is what it was trained on. Calibration and thresholds are set as if the cohort had
    nobody of the corpus that is tested, as is the case where the device is used: its microphone
    and its room are its own. Raises ``ConversionError`` when the network cannot be converted or
    loses too much, and ``ConfigError`` when the speech cannot be used.
    """
    recipe = Recipe.load(source / "recipe.toml")
    front_end = read_front_end(source / "front_end.json")
    network = checkpoint.read(source, checkpoint.Options())
    front_end.check_fits(network)
    rate_hz = front_end.features.sample_rate_hz
    parts = Parts.read(speech, recipe)
    pieces = one_piece_a_speaker(parts.trained, REPRESENTATIVE_PIECES, rate_hz, recipe.seed)
    inputs = [
        front_end.steps(piece * np.float32(LOUDNESS[number % len(LOUDNESS)]))
        for number, (_, piece) in enumerate(pieces)
    ]
    scheme = quantize.Recipe()
    with stage(f"converting to {scheme.scheme}", None):
        model = convert(network, inputs, scheme.scheme, scheme.range)
    comparison, _ = compare_on_speech(
        Encoding(network, model, front_end),
        Speech(Source(speech, "train"), scheme.test_utterances, together=TARGET_UTTERANCES),
        stage,
    )
    scheme.limits.check(comparison)
    begun = draft(identity, front_end, model)
    listener = thresholds.Listener.of(ModelPackage(begun, model, None))
    others = one_piece_a_speaker(parts.trained, COHORT_SPEAKERS, rate_hz, recipe.seed + 1)
    with stage("embedding the cohort", len(others)) as progress:
        rows = []
        for _, piece in others:
            rows.append(unit(listener.embedding(piece)))
            progress(1)
    cohort = np.stack(rows).astype(np.float16)  # half the size, and nothing is lost
    closest = min(CLOSEST_SPEAKERS, len(cohort))
    corpora = np.array([corpus for corpus, _ in others])
    judged, setting = _decide(
        listener, Cohort(cohort.astype(np.float32), corpora, closest), parts.held_out, stage
    )
    file = io.BytesIO()
    np.save(file, cohort)
    manifest = msgspec.structs.replace(
        begun,
        operating_points=setting.operating_points,
        calibration=setting.calibration,
        nontarget=setting.nontarget,
        cohort=packaged(COHORT_NAME, file.getvalue()),
        closest_speakers=closest,
        closest_weight=CLOSEST_WEIGHT,
        accuracy={
            "quantization": msgspec.to_builtins(comparison),
            "held_out": _held_out_figures(judged, setting),
        },
        training={**identity.training, "recipe": msgspec.to_builtins(recipe)},
    )
    extra = card.Extra(network, scheme.scheme, scheme.range, len(inputs), same_speech=False)
    text = card.render(manifest, flatbuffer.read(model), comparison, extra)
    files = {
        MODEL_NAME: model,
        COHORT_NAME: file.getvalue(),
        MANIFEST_NAME: manifest.to_json(),
        card.NAME: text.encode(),
    }
    return Shipped(files, manifest, judged)


def decide(
    package: ModelPackage, source: Path, speech: Path, stage: Stage
) -> tuple[Manifest, dict[str, thresholds.Judged]]:
    """The manifest of a package with calibration and thresholds set anew, and the trials.

    ``source`` is the checkpoint directory that it was shipped from with ``speech``: that tells who
    was held out, and of which corpus each speaker of the cohort is. Raises ``ConfigError`` when
    the speech cannot be used or is other than that of the cohort.
    """
    recipe = Recipe.load(source / "recipe.toml")
    parts = Parts.read(speech, recipe)
    rate_hz = package.manifest.features.sample_rate_hz
    others = one_piece_a_speaker(parts.trained, COHORT_SPEAKERS, rate_hz, recipe.seed + 1)
    if package.cohort is None or len(others) != len(package.cohort):
        raise ConfigError(
            "the cohort of the package is not of this speech",
            "Name the speech and the checkpoint that it was shipped with.",
        )
    corpora = np.array([corpus for corpus, _ in others])
    cohort = Cohort(package.cohort, corpora, package.manifest.closest_speakers)
    judged, setting = _decide(thresholds.Listener.of(package), cohort, parts.held_out, stage)
    manifest = msgspec.structs.replace(
        package.manifest,
        operating_points=setting.operating_points,
        calibration=setting.calibration,
        nontarget=setting.nontarget,
        accuracy={**package.manifest.accuracy, "held_out": _held_out_figures(judged, setting)},
    )
    return manifest, judged


class Cohort(NamedTuple):
    """Rows (N, D), the corpus of each (N,), and how many of the closest scores are set against."""

    rows: Float32
    corpora: NDArray[np.str_]
    closest: int

    def without(self, corpus: str) -> Similarity:
        """Scores as on a device whose place nobody of the cohort comes from."""
        rest = elsewhere(self.rows, self.corpora, corpus)
        return Similarity(rest, self.closest, CLOSEST_WEIGHT)


def _decide(
    listener: thresholds.Listener,
    cohort: Cohort,
    held_out: Sequence[Utterance],
    stage: Stage,
) -> tuple[dict[str, thresholds.Judged], thresholds.Setting]:
    with stage("listening to held-out speakers", None):
        spoken = thresholds.hear(listener, held_out)
    # where the lock is used nobody of the cohort was recorded; how high strangers score is learned
    # of templates of one utterance as well
    judged, single = (
        thresholds.judge(spoken, cohort.without, enrolled) for enrolled in (USUAL_ENROLLED, 1)
    )
    try:
        return judged, thresholds.fit(judged, single)
    except ValueError as error:
        raise ConfigError(
            f"the held-out speakers set no threshold: {error}",
            "Hold out more speakers, or give more speech of each.",
        ) from error


def _held_out_figures(
    judged: dict[str, thresholds.Judged], setting: thresholds.Setting
) -> dict[str, object]:
    return {
        "conditions": "held-out train speakers, one session each, enroll 3, test 1, clean, "
        "nobody of the tested corpus in the cohort",
        "cllr_pooled": round(setting.cllr, 4),
        "eer": {name: round(eer(*one.split()), 4) for name, one in judged.items()},
    }
