"""A trained checkpoint to the package that ships: int8, cohort, calibration, thresholds.

All of it is made with training speech: the range of the activations and the cohort with
speakers that were trained on, the calibration and the thresholds with the held-out ones.
"""

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder import Encoder
from edge_unlock.features import Float32
from edge_unlock.model import (
    MANIFEST_NAME,
    Calibration,
    Manifest,
    ModelPackage,
    OperatingPoint,
    PackagedFile,
)
from edge_unlock_convert import checkpoint, quantize
from edge_unlock_convert.corpus import Utterance, cut_pieces, read_corpus
from edge_unlock_convert.front_end import read_front_end
from edge_unlock_convert.metrics import Trials, cllr, eer, fit_calibration
from edge_unlock_convert.training.recipe import Recipe
from edge_unlock_convert.training.sampler import held_out_speakers
from edge_unlock_convert.trials import score_trials

COHORT_NAME = "cohort.npy"
COHORT_SPEAKERS = 200
CALIBRATION_PIECES = 120
HELD_OUT_PIECES = 30
"""A held-out speaker of more is not listened to further: few would outweigh many."""
LOUDNESS = (1.0, 0.1, 0.02)
"""The pieces that show the range of the activations are played at these levels in turn."""


class Speech(NamedTuple):
    """Training speech, by what it is for."""

    trained: list[Utterance]
    held_out: list[Utterance]

    @classmethod
    def read(cls, source: Path, recipe: Recipe) -> "Speech":
        """Part the train split of a corpus as the training did."""
        every = read_corpus(source, "train")
        held = held_out_speakers(recipe.held_out, [u.speaker for u in every], recipe.seed)
        return cls(
            [u for u in every if u.speaker not in held], [u for u in every if u.speaker in held]
        )


def one_piece_a_speaker(
    utterances: Sequence[Utterance], count: int, rate_hz: int, seed: int
) -> list[Float32]:
    """Pieces of ``count`` random labelled speakers, the corpora in turn."""
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
        next(iter(cut_pieces(by_speaker[speaker][:4], rate_hz))).samples
        for speaker in chosen[:count]
    ]


def held_out_trials(
    embed: Callable[[Float32], Float32],
    utterances: Sequence[Utterance],
    rate_hz: int,
    center: Float32,
) -> dict[str, Trials]:
    """Trials of each held-out corpus among its own speakers: enroll 3, test 1."""
    trials = {}
    for corpus in sorted({u.corpus for u in utterances}):
        of_corpus = [u for u in utterances if u.corpus == corpus]
        embeddings: list[Float32] = []
        speakers: list[str] = []
        for utterance in of_corpus:
            if speakers.count(utterance.speaker) >= HELD_OUT_PIECES:
                continue
            samples = utterance.samples(rate_hz)
            # a speaker of one long recording is compared across its pieces
            parts = np.array_split(samples, max(1, len(samples) // (4 * rate_hz)))
            embeddings.extend(embed(part) for part in parts)
            speakers.extend([utterance.speaker] * len(parts))
        trials[corpus] = score_trials(np.stack(embeddings), np.array(speakers), center=center)
    return trials


def pooled(trials: dict[str, Trials], seed: int = 0) -> tuple[NDArray[np.float64], ...]:
    """Target and non-target scores of all corpora, as many of each corpus."""
    generator = np.random.default_rng(seed)
    split = [one.split() for one in trials.values()]
    sides = []
    for side in (0, 1):
        count = min(len(scores[side]) for scores in split)
        sides.append(np.concatenate([generator.permutation(s[side])[:count] for s in split]))
    return tuple(sides)


def ship(source: Path, speech: Path, output: Path, version: str = "1") -> Manifest:
    """Make the package ``output`` of the checkpoint directory ``source``.

    ``speech`` is what it was trained on. Raises ``ConversionError`` when the network cannot
    be converted and ``ConfigError`` when the speech cannot be read.
    """
    recipe = Recipe.load(source / "recipe.toml")
    front_end = read_front_end(source / "front_end.json")
    network = checkpoint.read(source, checkpoint.Options())
    quantize.check_fit(network, front_end)
    rate_hz = front_end.features.sample_rate_hz
    parts = Speech.read(speech, recipe)
    pieces = one_piece_a_speaker(parts.trained, CALIBRATION_PIECES, rate_hz, recipe.seed)
    inputs = [
        front_end.steps(piece * np.float32(LOUDNESS[number % len(LOUDNESS)]))
        for number, piece in enumerate(pieces)
    ]
    model = quantize.convert(network, inputs, "int8", "minmax")
    draft = Manifest(
        schema=1,
        name=recipe.name,
        version=version,
        model=PackagedFile(file=quantize.MODEL_NAME, sha256=hashlib.sha256(model).hexdigest()),
        features=front_end.features,
        normalization=front_end.normalization,
        encoder=front_end.encoder,
        operating_points=(OperatingPoint(name="none", false_accept_rate=0.5, threshold=1.0),),
        default_operating_point="none",
    )
    encoder = Encoder(ModelPackage(draft, model, None))

    def embed(samples: Float32) -> Float32:
        return encoder.embed(samples, rate_hz)

    cohort = np.stack(
        [
            embed(piece)
            for piece in one_piece_a_speaker(
                parts.trained, COHORT_SPEAKERS, rate_hz, recipe.seed + 1
            )
        ]
    )
    trials = held_out_trials(embed, parts.held_out, rate_hz, cohort.mean(axis=0))
    target, nontarget = pooled(trials)
    slope, offset = fit_calibration(target, nontarget)
    file = io.BytesIO()
    np.save(file, cohort)
    manifest = msgspec.structs.replace(
        draft,
        operating_points=quantize.operating_points(target, nontarget),
        default_operating_point=quantize.DEFAULT_OPERATING_POINT,
        calibration=Calibration(slope=slope, offset=offset),
        cohort=PackagedFile(file=COHORT_NAME, sha256=hashlib.sha256(file.getvalue()).hexdigest()),
        accuracy={
            "held_out": {
                "conditions": "held-out train speakers, one session each, enroll 3, test 1, clean",
                "cllr_pooled": round(cllr(slope * target + offset, slope * nontarget + offset), 4),
                "eer": {name: round(eer(*one.split()), 4) for name, one in trials.items()},
            }
        },
        training={"recipe": msgspec.to_builtins(recipe)},
    )
    output.mkdir(parents=True, exist_ok=True)
    (output / quantize.MODEL_NAME).write_bytes(model)
    (output / COHORT_NAME).write_bytes(file.getvalue())
    partial = output / f"{MANIFEST_NAME}.partial"
    partial.write_bytes(manifest.to_json())
    partial.replace(output / MANIFEST_NAME)
    return manifest


@click.command("ship")
@click.argument("source", metavar="CHECKPOINT", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--speech",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="What it was trained on: a manifest, or a directory of speaker folders.",
)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="The package.")
@click.option("--version", default="1", show_default=True, help="Version in the manifest.")
def command(source: Path, speech: Path, output: Path, version: str) -> None:
    """Make the package that ships: int8 network, cohort, calibration and thresholds."""
    manifest = ship(source, speech, output, version)
    click.echo(f"{output}: {manifest.name} {manifest.version}")
    for name, rate in manifest.accuracy["held_out"]["eer"].items():
        click.echo(f"held-out {name}: EER {100 * rate:.2f}%")
