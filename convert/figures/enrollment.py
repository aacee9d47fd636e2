"""What becomes of enrollments: a person's own files, and a stranger's file among them.

    python convert/figures/enrollment.py MANIFEST [--split eval] > table.md

Every file goes the device's way. "One after another" is how it was decided before: each utterance
against the template of those before it, as soon as it was heard; the same limits of quality hold.
"""

import argparse
import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from edge_unlock.audio import File
from edge_unlock.encoder.encoder import Encoder
from edge_unlock.encoder.features import Float32
from edge_unlock.encoder.package import ModelPackage
from edge_unlock.errors import EnrollmentError
from edge_unlock.lock.enrollment import Enrollment
from edge_unlock.lock.hearing import Heard, hear
from edge_unlock.scoring.scorer import Scorer, accepts
from edge_unlock.segmentation.quality import Fault
from edge_unlock.segmentation.segment import Segmenter
from edge_unlock_convert.corpus import read_corpus

FILES, SPOILED = 5, 1000
OLD_PRIOR = 0.9
PROMISES = (0.0, 0.02, 0.1, 0.3, 1.0)


class Remembering(Encoder):
    """An encoder that embeds the same utterance once."""

    def __init__(self, package: ModelPackage) -> None:
        super().__init__(package)
        self._known: dict[tuple[int, ...], tuple[Float32 | None, float | None]] = {}
        self._magnitude: float | None = None

    def embed_pieces(self, pieces: Iterable[Float32]) -> Float32 | None:
        """As ``Encoder`` does; the pieces have to live on."""
        listed = list(pieces)
        key = tuple(id(piece) for piece in listed)
        if key not in self._known:
            self._known[key] = super().embed_pieces(listed), super().magnitude
        embedding, self._magnitude = self._known[key]
        return embedding

    @property
    def magnitude(self) -> float | None:
        """Of what was embedded last."""
        return self._magnitude


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--split", default="eval")
    parser.add_argument("--corpora", nargs="*", default=["speechocean762", "speech_commands"])
    arguments = parser.parse_args()
    package = ModelPackage.load()
    encoder, scorer = Remembering(package), Scorer(package)
    for corpus in arguments.corpora:
        speakers = listen(arguments.manifest, arguments.split, corpus)
        print(f"\n## {corpus}, {len(speakers)} speakers\n")
        own(encoder, scorer, speakers)
        for count in (FILES, 3):
            strangers(encoder, scorer, speakers, count)


def listen(manifest: Path, split: str, corpus: str) -> dict[str, list[list[Heard]]]:
    """What is heard in the first ten files of each speaker who has five."""
    segmenter = Segmenter()
    paths = defaultdict(list)
    for one in read_corpus(manifest, split):
        if one.corpus == corpus:
            paths[one.speaker].append(one.path)
    heard = {}
    for speaker, files in paths.items():
        if len(files) >= FILES:
            heard[speaker] = []
            for path in files[: 2 * FILES]:
                with File(path) as source:
                    heard[speaker].append(list(hear(source, segmenter)))
    return heard


def own(encoder: Encoder, scorer: Scorer, speakers: dict[str, list[list[Heard]]]) -> None:
    """Enroll everybody with five files; compare the promise with what comes after."""
    faults: dict[str, int] = defaultdict(int)
    together, before, refused, refused_before = 0, 0, 0, 0
    promises = []
    for utterances in speakers.values():
        enrollment, dropped = enroll(encoder, scorer, utterances[:FILES], faults)
        left = one_after_another(encoder, scorer, utterances[:FILES])
        before += len(left) == FILES
        refused_before += len(left) < 3
        if enrollment is None:
            refused += 1
            continue
        together += not dropped
        template = scorer.template(enrollment.embeddings())
        promise = enrollment.rejection_rate()
        for utterance in utterances[FILES:]:
            trial = Enrollment(encoder, scorer, 1)
            if trial.offer(utterance) is None:
                ((_, embedding, _, quality),) = trial.utterances
                threshold = scorer.threshold(quality=quality)
                rejected = not accepts(scorer.score(template, embedding), threshold)
                promises.append((promise, rejected))
    print("| five own files | one after another | together |\n| --- | --- | --- |")
    print(f"| kept all five | {before} | {together} |")
    print(f"| fewer than three kept, or nobody can tell | {refused_before} | {refused} |\n")
    print("Not kept:", ", ".join(f"{count} {fault}" for fault, count in faults.items()), "\n")
    print("| promised rejections | utterances afterwards | promised | rejected |")
    print("| --- | --- | --- | --- |")
    promised = np.array(promises, float)
    for low, high in itertools.pairwise(PROMISES):
        rows = promised[(promised[:, 0] >= low) & (promised[:, 0] < high)]
        if len(rows):
            mean, rejected = rows.mean(axis=0)
            print(f"| {low:.0%} to {high:.0%} | {len(rows)} | {mean:.1%} | {rejected:.1%} |")


def strangers(
    encoder: Encoder, scorer: Scorer, speakers: dict[str, list[list[Heard]]], count: int
) -> None:
    """Put a stranger's file in a random place among a person's."""
    rng = np.random.default_rng(0)
    found, refused, before = 0, 0, 0
    usable = {
        speaker: good
        for speaker, utterances in speakers.items()
        if len(good := [one for one in utterances if not fault_of(encoder, scorer, one)]) >= count
    }
    names = sorted(usable)
    for _ in range(SPOILED):
        person, stranger = rng.choice(names, 2, replace=False)
        files = [usable[person][i] for i in rng.choice(len(usable[person]), count, replace=False)]
        place = int(rng.integers(count))
        files[place] = usable[stranger][int(rng.integers(len(usable[stranger])))]
        enrollment, dropped = enroll(encoder, scorer, files, defaultdict(int))
        refused += enrollment is None
        found += enrollment is not None and place in dropped
        before += place not in one_after_another(encoder, scorer, files)
    print(
        f"\nOne stranger's among {count}, {SPOILED} times: left out {found}, nothing stored "
        f"{refused}, together {found + refused}; one after another left out {before}."
    )


def enroll(
    encoder: Encoder, scorer: Scorer, files: Sequence[list[Heard]], faults: dict[str, int]
) -> tuple[Enrollment | None, list[int]]:
    """As the command does: None where nothing is stored; the numbers of the files left out."""
    enrollment = Enrollment(encoder, scorer, len(files))
    for number, heard in enumerate(files):
        fault = enrollment.offer(heard, str(number))
        if fault is not None:
            faults[fault] += 1
    try:
        for _ in enrollment.settle():
            faults[Fault.OTHER_SPEAKER] += 1
        enrollment.embeddings()
    except EnrollmentError:
        return None, []
    return enrollment, [i for i in range(len(files)) if str(i) not in enrollment.kept]


def fault_of(encoder: Encoder, scorer: Scorer, heard: list[Heard]) -> Fault | None:
    """What is wrong with an utterance by itself."""
    return Enrollment(encoder, scorer, 1).offer(heard)


def one_after_another(
    encoder: Encoder, scorer: Scorer, files: Sequence[list[Heard]]
) -> dict[int, Float32]:
    """The numbers and embeddings of the files that were kept before."""
    kept: dict[int, Float32] = {}
    for number, heard in enumerate(files):
        trial = Enrollment(encoder, scorer, 1)
        if trial.offer(heard) is not None:
            continue
        ((_, embedding, _, quality),) = trial.utterances
        if kept:
            template = scorer.template(np.stack(list(kept.values())))
            threshold = scorer.bayes_threshold(OLD_PRIOR, quality)
            if not accepts(scorer.score(template, embedding), threshold):
                continue
        kept[number] = embedding
    return kept


if __name__ == "__main__":
    main()
