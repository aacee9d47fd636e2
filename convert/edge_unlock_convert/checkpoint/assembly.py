"""The network that the layers of a checkpoint make, as far as the options ask for it."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from edge_unlock_convert.checkpoint.folding import Folded, fold
from edge_unlock_convert.checkpoint.options import Options
from edge_unlock_convert.checkpoint.step import (
    Affine,
    Contents,
    Lstm,
    Plain,
    Pool,
    Refused,
    Step,
    Track,
    end_candidates,
    is_part,
)
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.network import Dense, Network

CLASSIFIER_NAME = re.compile(r"(?i)(classif|logit|softmax|speaker|predict|\bhead$|_head$)")
"""What people call a layer that tells speakers apart in training, and gives no embedding."""
SHOW_LAYERS = "All layers: edge-unlock-convert describe CHECKPOINT."
POOLING_UNKNOWN = (
    "the checkpoint does not say how its steps become one embedding",
    "Say how it was trained: --pooling last, mean or attention.",
)
Problem = tuple[str, str]


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
        main = _end(main, options, problems, notes)
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
        main = [track for track in main if options.embedding[-1] in _names(track)] or main
    if len(main) != 1 and not options.embedding:
        names = [track[-1].name for track in main]
        problems.append(
            (
                f"the model has {len(main)} different outputs: {', '.join(names)}",
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


def _names(track: Track) -> list[str]:
    return [step.name for step in track]


def _end(track: Track, options: Options, problems: list[Problem], notes: list[str]) -> Track:
    """The track up to the embedding."""
    candidates = ", ".join(end_candidates(track))
    if options.embedding:
        return _end_as_told(track, options, problems, notes)
    ends_in = len(track)
    while ends_in and isinstance(track[ends_in - 1].form, Plain):
        if track[ends_in - 1].form in (Plain("relu"), Plain("unit")):
            break
        ends_in -= 1
    if Plain("softmax") in [step.form for step in track[ends_in:]]:
        return _without_classifier(track[:ends_in], notes)
    after = _after_lstm(track)
    dense = [step for step in after if isinstance(step.form, Affine) and not is_part(step)]
    if not dense or Plain("unit") in [step.form for step in track]:
        return track
    first, last = track.index(dense[0]), track.index(dense[-1])
    bends = Plain("relu") in [step.form for step in track[first:last]]
    if bends or CLASSIFIER_NAME.search(dense[-1].name):
        problems.append(
            (
                f"the network ends in {dense[-1].name!r} ({dense[-1].shape}), which may be a "
                "classifier of the training speakers and no embedding",
                f"Say which layer gives the embedding: --embedding LAYER, one of {candidates}.",
            )
        )
    else:
        notes.append(f"assumed: the embedding is what {dense[-1].name} gives ({dense[-1].shape})")
    return track


def _after_lstm(track: Track) -> Track:
    last = max(index for index, step in enumerate(track) if isinstance(step.form, Lstm))
    return track[last + 1 :]


def _without_classifier(track: Track, notes: list[str]) -> Track:
    """A network that ends in a softmax tells speakers apart; what its last layer reads is the
    embedding (the d-vector of Variani et al., 2014).
    """
    dense = [
        i for i, step in enumerate(track) if isinstance(step.form, Affine) and not is_part(step)
    ]
    if not dense or dense[-1] < track.index(_after_lstm(track)[0]):
        return track
    classifier = track[dense[-1]]
    rest = list(track[: dense[-1]])
    while rest[-1].form == Plain("idle"):
        rest.pop()
    notes.append(
        f"the classifier {classifier.name} ({classifier.shape}, softmax) was left behind: the "
        f"embedding is what {rest[-1].name} gives"
    )
    return tuple(rest)


def _end_as_told(
    track: Track, options: Options, problems: list[Problem], notes: list[str]
) -> Track:
    names = _names(track)
    missing = [name for name in options.embedding if name not in names]
    if missing:
        candidates = ", ".join(end_candidates(track))
        problems.append(
            (
                f"no layer {', '.join(map(repr, missing))} leads to the output",
                f"The layers that --embedding can name are: {candidates}.",
            )
        )
        return track
    places = [names.index(name) for name in options.embedding]
    if places != sorted(places):
        problems.append(
            (
                "--embedding names layers in another order than the model computes them",
                "Name them from the LSTM to the embedding, or the last one alone.",
            )
        )
    _check_activations(track, options, problems)
    last = len(names) - 1 - names[::-1].index(options.embedding[-1])
    stop = last + 1
    wanted = options.activation[-1] if options.activation else None
    if wanted == "linear" and track[last].form == Plain("relu"):
        stop = last
    elif wanted == "relu" and track[last].form != Plain("relu"):
        stop = next((i for i in range(stop, len(track)) if track[i].form != Plain("idle")), stop)
        if stop == len(track) or track[stop].form != Plain("relu"):
            problems.append(
                (f"no ReLU follows {options.embedding[-1]!r} in the model", "Leave --activation.")
            )
        stop += 1
    elif wanted is None and Plain("relu") in [step.form for step in track[stop : stop + 1]]:
        notes.append(
            f"assumed: the embedding is taken before the ReLU that follows {options.embedding[-1]} "
            "(after it: --activation relu)"
        )
    kept = track[:stop]
    if not any(isinstance(step.form, Pool) for step in kept):
        # how steps become one is the same, wherever the network ends
        kept += tuple(step for step in track[stop:] if isinstance(step.form, Pool))[:1]
    return kept


def _check_activations(track: Track, options: Options, problems: list[Problem]) -> None:
    """Whether what is said of the layers before the last one is what the model says."""
    if options.activation and len(options.activation) != len(options.embedding):
        problems.append(
            (
                f"{len(options.activation)} --activation were given for "
                f"{len(options.embedding)} --embedding",
                "Give one for each, in their order, or none where the model says them itself.",
            )
        )
        return
    said = zip(options.embedding[:-1], options.activation[:-1], strict=False)
    for name, wanted in said:
        after = iter(track[_names(track).index(name) :])
        follows = next((s.form for s in after if s.name != name or s.form == Plain("relu")), None)
        found = "relu" if follows == Plain("relu") else "linear"
        if found != wanted:
            problems.append(
                (f"{name!r} is followed by {found}, not {wanted}", "Leave --activation out.")
            )


def _check_lstm_names(track: Track, options: Options, problems: list[Problem]) -> None:
    if not options.lstm:
        return
    on_way = list(dict.fromkeys(s.name for s in track if isinstance(s.form, Lstm)))
    asked = [name for name in options.lstm if name in on_way]
    unknown = [name for name in options.lstm if name not in _names(track)]
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
