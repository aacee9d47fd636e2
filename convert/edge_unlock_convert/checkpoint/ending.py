"""Where the network ends: at the embedding, not at what told the training speakers apart."""

import re

from edge_unlock_convert.checkpoint.options import Options
from edge_unlock_convert.checkpoint.step import (
    Affine,
    Lstm,
    Plain,
    Pool,
    Problem,
    Track,
    end_candidates,
    is_part,
    names_of,
)

CLASSIFIER_NAME = re.compile(r"(?i)(classif|logit|softmax|speaker|predict|\bhead$|_head$)")
"""What people call a layer that tells speakers apart in training, and gives no embedding."""


def end(track: Track, options: Options, problems: list[Problem], notes: list[str]) -> Track:
    """The track up to the embedding; what is unclear or assumed is added to the lists."""
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
    candidates = ", ".join(end_candidates(track))
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
    names = names_of(track)
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
        after = iter(track[names_of(track).index(name) :])
        follows = next((s.form for s in after if s.name != name or s.form == Plain("relu")), None)
        found = "relu" if follows == Plain("relu") else "linear"
        if found != wanted:
            problems.append(
                (f"{name!r} is followed by {found}, not {wanted}", "Leave --activation out.")
            )
