"""The honest table: error rates of encoders on speakers that none of them was trained on.

Every speaker is enrolled with clean utterances; what is compared with the templates may be
shorter, noisy or in a room. Each encoder is scored in five ways, with one and the same cohort of
other speakers: see ``Scoring``. The device's calibration is its package's; that of each other
encoder is fitted as ``ship`` fits it, on the same held-out speakers.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from edge_unlock.encoder.calibration import Calibration, Quality
from edge_unlock.encoder.encoder import Encoder
from edge_unlock.encoder.features import Float32
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.encoder.similarity import Similarity, unit
from edge_unlock.errors import AudioError
from edge_unlock_convert import checkpoint, network
from edge_unlock_convert.corpus import Utterance, middle, read_corpus
from edge_unlock_convert.evaluation.groups import RATE_HZ, Group, disturbed, first_of_each
from edge_unlock_convert.front_end import read_front_end
from edge_unlock_convert.packaging import ship
from edge_unlock_convert.scoring import thresholds
from edge_unlock_convert.scoring.metrics import Trials, bootstrap_interval, eer, frr_at_far
from edge_unlock_convert.scoring.trials import COSINE, score_trials
from edge_unlock_convert.training.recipe import Recipe
from edge_unlock_convert.training.teacher import load_teacher

DURATIONS_S = (1, 2, 3)
DEVICE = "int8 (device)"
Scoring = Literal[
    "likelihood ratio",
    "likelihood ratio, cohort of other corpora",
    "set against cohort",
    "mean removed",
    "cosine",
]
"""As the device decides, which knows in what quality it heard; the same where nobody of the tested
corpus is in the cohort; the score alone; without the comparison with the cohort's closest
speakers; and without a cohort."""
SCORINGS: tuple[Scoring, ...] = get_args(Scoring)
EVIDENCE = SCORINGS[:2]
DISTURBED_UTTERANCES = 7
"""Of each speaker are disturbed and compared: to keep the evaluation to minutes."""


class System(NamedTuple):
    """An encoder by name; ``identity`` names its embeddings in the cache.

    Without a ``calibration`` of its own it gets one.
    """

    name: str
    identity: str
    embed: thresholds.Embed
    calibration: Calibration | None = None


class Condition(NamedTuple):
    """What happened to the compared speech, utterances enrolled, and how they are scored."""

    name: str
    enroll: int
    scoring: Scoring


class Row(NamedTuple):
    """A line of the table. Rates are in [0, 1]; intervals are 95% over speakers."""

    system: str
    corpus: str
    condition: str
    enroll: int
    scoring: Scoring
    speakers: int
    targets: int
    nontargets: int
    eer: float
    eer_interval: tuple[float, float]
    frr: float
    frr_interval: tuple[float, float]


class Evaluation:
    """Embeds with a cache on disk, and scores.

    The ``cohort`` is one piece of each speaker, with its corpus; on ``held_out`` speech the
    systems are calibrated.
    """

    def __init__(
        self,
        systems: Sequence[System],
        cohort: Sequence[tuple[str, Float32]],
        held_out: Sequence[Utterance],
        cache: Path,
        draws: int,
    ) -> None:
        self.systems = systems
        self._cache = cache
        self._draws = draws
        self._listener = thresholds.Listener(systems[0].embed)
        cache.mkdir(parents=True, exist_ok=True)
        self._corpora = np.array([corpus for corpus, _ in cohort])
        voices = [samples for _, samples in cohort]
        self._cohorts = {system.name: self.embeddings(system, voices) for system in systems}
        self._calibrations = {
            system.name: system.calibration or self._calibration(system, held_out)
            for system in systems
        }

    def embeddings(self, system: System, samples: Sequence[Float32]) -> Float32:
        """Embeddings (n, D) of norm 1; a recording that is too short to embed is repeated."""
        return unit(self._raw(system, samples))

    def quality(self, system: System, samples: Sequence[Float32]) -> Quality:
        """The seconds of speech that the device finds in recordings, and the magnitudes."""
        seconds = self._cached("seconds", samples, lambda one: _seconds(self._listener, one))
        return Quality(seconds, np.linalg.norm(self._raw(system, samples), axis=1))

    def row(
        self,
        system: System,
        group: Group,
        condition: str,
        tests: Sequence[Float32] | None = None,
        *,
        enroll: int = 3,
        scoring: Scoring = SCORINGS[0],
    ) -> Row:
        """Score a group; ``tests`` are the same utterances under the condition."""
        trials = score_trials(
            self.embeddings(system, group.samples),
            group.speakers,
            enroll=enroll,
            similarity=self._similarity(system, group.corpus, scoring),
            tests=None if tests is None else self.embeddings(system, tests),
        )
        if scoring in EVIDENCE:
            heard = group.samples if tests is None else tests
            quality = self.quality(system, heard).only(trials.utterances)
            evidence = self._calibrations[system.name].llr(trials.scores, quality)
            trials = trials._replace(scores=evidence)
        conditions = Condition(condition, enroll, scoring)
        return row_of(system.name, group.name, conditions, trials, self._draws)

    def _similarity(self, system: System, corpus: str, scoring: Scoring) -> Similarity:
        cohort = self._cohorts[system.name]
        match scoring:
            case "cosine":
                return COSINE
            case "mean removed":
                return Similarity(cohort)
            case "likelihood ratio, cohort of other corpora":
                cohort = ship.elsewhere(cohort, self._corpora, corpus)
        return Similarity(cohort, ship.CLOSEST_SPEAKERS, ship.CLOSEST_WEIGHT)

    def _calibration(self, system: System, held_out: Sequence[Utterance]) -> Calibration:
        def embed(samples: Float32, _: int) -> Float32:
            (embedding,) = self._raw(system, [samples])
            return np.asarray(embedding)

        def similarity(corpus: str) -> Similarity:
            return self._similarity(system, corpus, "likelihood ratio, cohort of other corpora")

        judged = thresholds.judge(thresholds.hear(thresholds.Listener(embed), held_out), similarity)
        return thresholds.fit(judged).calibration

    def _raw(self, system: System, samples: Sequence[Float32]) -> Float32:
        """Embeddings (n, D), as long as their magnitudes."""
        return self._cached(f"raw {system.identity}", samples, lambda one: embed_whole(system, one))

    def _cached(
        self, identity: str, samples: Sequence[Float32], each: Callable[[Float32], Float32]
    ) -> Float32:
        """What ``each`` makes of every recording, (n, ...), from the disk if it was made before.

        A recording is heard once, however many groups it belongs to.
        """
        return np.stack([self._cached_one(identity, one, each) for one in samples])

    def _cached_one(
        self, identity: str, samples: Float32, each: Callable[[Float32], Float32]
    ) -> Float32:
        digest = hashlib.sha256(identity.encode() + samples.tobytes())
        path = self._cache / f"{digest.hexdigest()}.npy"
        if path.exists():
            cached: Float32 = np.load(path, allow_pickle=False)
            return cached
        made = each(samples)
        np.save(path, made)
        return made


def table(evaluation: Evaluation, found: Sequence[Group], noise: Float32) -> list[Row]:
    """All rows: every system in clean speech; the first one under every condition."""
    rows = []
    for group in found:
        for system in evaluation.systems:
            for scoring in SCORINGS:
                rows.append(evaluation.row(system, group, "clean", scoring=scoring))
        system = evaluation.systems[0]
        if group.name.startswith("librispeech"):
            continue
        for enroll in (1, 5):
            rows.append(evaluation.row(system, group, "clean", enroll=enroll))
        some = group.only(first_of_each(group.speakers, DISTURBED_UTTERANCES))
        rows.append(evaluation.row(system, some, "clean, as below"))
        for name, tests in disturbed(some, noise):
            rows.append(evaluation.row(system, some, name, tests))
        long = group.only(np.array([len(one) >= 3 * RATE_HZ for one in group.samples]))
        if len(long.samples) > len(group.samples) / 4:
            for seconds in DURATIONS_S:
                cut = [middle(one, seconds * RATE_HZ) for one in long.samples]
                rows.append(evaluation.row(system, long, f"{seconds} s of 3 s or more", cut))
        for column in (group.sexes, group.minors):
            for value in sorted(set(column.tolist()) - {"-"}):
                part = group.only(column == value)
                if len(np.unique(part.speakers)) < 2:
                    continue
                rows.append(evaluation.row(system, part, f"among {value}"))
    return rows


def decisions(
    package: ModelPackage, source: Path, recipe: Recipe
) -> dict[str, dict[str, thresholds.Rates]]:
    """Error rates of the device's decisions, by operating point, then by speech and duration.

    On the split ``eval``, and on the held-out LibriSpeech speakers, on whom (among others) the
    thresholds were set.
    """
    held = ship.Parts.read(source, recipe).held_out
    utterances = [*read_corpus(source, "eval"), *(u for u in held if u.corpus == "librispeech")]
    judged = thresholds.judge(
        thresholds.hear(thresholds.Listener.of(package), utterances),
        lambda corpus: package.similarity,
    )
    return {
        point.name: {
            name: thresholds.rates(trials, package.manifest, point.name)
            for name, trials in judged.items()
        }
        for point in package.manifest.operating_points
    }


def package_system(path: Path) -> System:
    """The int8 package, run by the device's own code."""
    package = ModelPackage.load(path)
    embed = thresholds.embedder(Encoder(package))
    identity = f"int8 {package.manifest.to_json().hex()}"
    return System(DEVICE, identity, embed, package.manifest.calibration)


def checkpoint_system(path: Path) -> System:
    """The float network of a checkpoint directory."""
    front_end = read_front_end(path / "front_end.json")
    weights = checkpoint.read(path, checkpoint.Options())

    def embed(samples: Float32, rate_hz: int) -> Float32:
        steps = front_end.steps(samples)
        if not len(steps):
            raise AudioError("too short", "Give a second of speech.")
        (outputs,) = network.run(weights, [steps])
        pooling = front_end.encoder.pooling
        mean = network.mean_step(outputs.embedding, outputs.logit, pooling)
        return np.asarray(mean, np.float32)

    digest = hashlib.sha256((path / checkpoint.PROJECT_CHECKPOINT_NAME).read_bytes())
    return System("float", f"float {digest.hexdigest()}", embed)


def other_system(argument: str) -> System:
    """``NAME=module:function``."""
    name, _, function = argument.partition("=")
    return System(name, argument, load_teacher(function))


def embed_whole(system: System, samples: Float32) -> Float32:
    """The embedding (D,) of a recording; one that is too short is repeated."""
    try:
        embedding = system.embed(samples, RATE_HZ)
    except AudioError:
        embedding = system.embed(np.resize(samples, RATE_HZ), RATE_HZ)
    return np.asarray(embedding, np.float32)


def _seconds(listener: thresholds.Listener, samples: Float32) -> Float32:
    """The seconds of speech; all of a recording in which the device would find too little."""
    found = listener.speech(samples)
    return np.array(len(samples) / RATE_HZ if found is None else found[1], np.float32)


def row_of(system: str, corpus: str, condition: Condition, trials: Trials, draws: int) -> Row:
    """The line of the table that trials make."""
    target, nontarget = trials.split()

    def frr(genuine: NDArray[np.float64], impostor: NDArray[np.float64]) -> float:
        return frr_at_far(genuine, impostor, 1e-2).frr

    return Row(
        system,
        corpus,
        *condition,
        len(np.unique(trials.enrolled)),
        len(target),
        len(nontarget),
        eer(target, nontarget),
        bootstrap_interval(eer, trials, draws=draws),
        frr(target, nontarget),
        bootstrap_interval(frr, trials, draws=draws),
    )
