"""The network that the layers of a checkpoint make, as far as the options ask for it."""

from collections.abc import Sequence
from typing import NamedTuple

from edge_unlock_convert.checkpoint.ending import end
from edge_unlock_convert.checkpoint.folding import Folded, fold
from edge_unlock_convert.checkpoint.options import Options
from edge_unlock_convert.checkpoint.step import (
    Affine,
    Contents,
    Lstm,
    Plain,
    Pool,
    Problem,
    Refused,
    Step,
    Track,
    end_candidates,
    names_of,
)
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.network import Dense, Network

SHOW_LAYERS = "All layers: edge-unlock-convert describe CHECKPOINT."
POOLING_UNKNOWN = (
    "the checkpoint does not say how its steps become one embedding",
    "Say how it was trained: --pooling last, mean or attention.",
)


class Examined(NamedTuple):
    """What a checkpoint comes to: its network, or the problems that stand against one."""

    network: Network | None
    kept: tuple[Step, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def assemble(contents: Contents, options: Options) -> Network:
    """The network; ``CheckpointError`` names everything that stands against it, at once."""
    found = examine(contents, options)
    if found.network is None:
        raise told(found.problems)
    return found.network


def examine(contents: Contents, options: Options) -> Examined:
    """The network that the options ask for, the layers it is made of, and all that is unclear."""
    problems, notes = list(contents.problems), list(contents.notes)
    chosen = None if problems else _choose(contents.tracks, options, problems)
    steps: list[Step] = []
    if chosen is not None:
        main, weigher = chosen
        main = end(main, options, problems, notes)
        _check_lstm_names(main, options, problems)
        steps = [*main, *(step for step in weigher or () if step not in main)]
        problems += [
            (one.form.reason, one.form.hint) for one in steps if isinstance(one.form, Refused)
        ]
    network = None
    if chosen is not None and not problems:
        try:
            network = _fold(main, weigher, notes)
        except CheckpointError as error:
            problems.append((str(error), error.hint or ""))
    if problems and options.pooling is None and not _says_pooling(contents, options):
        problems.append(POOLING_UNKNOWN)
    return Examined(network, tuple(steps), tuple(problems), tuple(notes))


def _fold(main: Track, weigher: Track | None, notes: Sequence[str]) -> Network:
    folded = fold(main)
    attention = None if weigher is None else _attention(weigher, main)
    return Network(folded.layers, folded.dense, attention, folded.pooling, tuple(notes))


def _says_pooling(contents: Contents, options: Options) -> bool:
    """Whether there is nothing to ask: it is said, or there is no LSTM whose steps to pool."""
    steps = [step for track in contents.tracks for step in track] + list(contents.others)
    has_lstm = any(isinstance(step.form, Lstm) for step in steps)
    pools = any(isinstance(step.form, Pool) for step in steps)
    return pools or not has_lstm or options.attention is not None


def told(problems: Sequence[Problem]) -> CheckpointError:
    """All problems as one error of one line."""
    reasons = list(dict.fromkeys(reason for reason, _ in problems))
    hints = list(dict.fromkeys(hint for _, hint in problems if hint))
    return CheckpointError("; ".join(reasons), " ".join([*hints, SHOW_LAYERS]))


def _choose(
    tracks: Sequence[Track], options: Options, problems: list[Problem]
) -> tuple[Track, Track | None] | None:
    """The track to the embedding, and the one that weighs the steps."""
    with_lstm = [track for track in tracks if any(isinstance(s.form, Lstm) for s in track)]
    if not with_lstm:
        refused = [s.form for track in tracks for s in track if isinstance(s.form, Refused)]
        problems += [(one.reason, one.hint) for one in refused]
        if not refused:
            problems.append(("the model has no LSTM", "Only LSTM encoders can be converted."))
        return None
    ends = _longest(with_lstm)
    weigher = next((track for track in ends if _weighs(track, options, len(ends))), None)
    if options.attention is not None and weigher is None:
        single = [name for track in tracks for name in end_candidates(track)]
        problems.append(
            (
                f"no output is weighed by a layer {options.attention!r}",
                f"The layers are: {', '.join(dict.fromkeys(single))}.",
            )
        )
    main = [track for track in ends if track is not weigher]
    if options.embedding:
        main = [track for track in main if options.embedding[-1] in names_of(track)] or main
    if len(main) != 1 and not options.embedding:
        names = [track[-1].name for track in main]
        problems.append(
            (
                f"the model has {len(main)} different outputs: {', '.join(names)}"
                if names
                else "the model has no output but the weight of a step",
                "Say which layer gives the embedding: --embedding LAYER; and which, if any, "
                "weighs the steps: --attention LAYER.",
            )
        )
    return (main[0], weigher) if main else None


def _longest(tracks: Sequence[Track]) -> list[Track]:
    """Tracks without those that end on the way to another, as exporters give states as well."""
    kept: list[Track] = []
    for track in tracks:
        weighted = set(_weighted(track))
        others = [set(_weighted(one)) for one in tracks if one is not track]
        equal = any(set(_weighted(one)) == weighted for one in kept)
        if not equal and not any(weighted < other for other in others):
            # of equal tracks the one that says how the steps become one
            same = [one for one in tracks if set(_weighted(one)) == weighted]
            pools = [one for one in same if any(isinstance(step.form, Pool) for step in one)]
            kept.append((pools or same)[0])
    return kept


def _weighted(track: Track) -> list[Step]:
    return [step for step in track if not isinstance(step.form, Pool | Plain)]


def _weighs(track: Track, options: Options, count: int) -> bool:
    last = _weighted(track)[-1]
    if options.attention is not None:
        return last.name == options.attention
    is_single = isinstance(last.form, Affine) and len(last.form.bias) == 1
    return count > 1 and is_single and last.name not in options.embedding


def _check_lstm_names(track: Track, options: Options, problems: list[Problem]) -> None:
    if not options.lstm:
        return
    on_way = list(dict.fromkeys(s.name for s in track if isinstance(s.form, Lstm)))
    asked = [name for name in options.lstm if name in on_way]
    unknown = [name for name in options.lstm if name not in names_of(track)]
    if asked != on_way or unknown:
        problems.append(
            (
                f"--lstm names {', '.join(options.lstm)}; the layers on the way to the embedding "
                f"are {', '.join(on_way)}",
                "Name these, first to last, or leave --lstm out.",
            )
        )


def _attention(weigher: Track, main: Track) -> Dense:
    """The one dense layer that weighs the steps of the last LSTM."""
    folded: Folded = fold(weigher)
    own = [step for step in weigher if isinstance(step.form, Lstm)]
    shared = [step for step in main if isinstance(step.form, Lstm)]
    if own != shared or len(folded.dense) != 1 or folded.pooling:
        raise CheckpointError(
            "the attention output is not one dense layer on the last LSTM", "Train it as one."
        )
    return folded.dense[0]
