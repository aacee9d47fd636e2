"""The float network against its quantized form, on speech."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from edge_unlock.encoder.features import Float32
from edge_unlock_convert import network
from edge_unlock_convert.errors import QualityError, SpeechError
from edge_unlock_convert.network import Network, Pooling
from edge_unlock_convert.progress import Progress
from edge_unlock_convert.quantization import quantized
from edge_unlock_convert.scoring import metrics
from edge_unlock_convert.scoring.metrics import Trials
from edge_unlock_convert.scoring.trials import score_trials

SQNR_UTTERANCES = 20
ENROLLED_UTTERANCES = 3
"""Make a template, as on the device."""
TRIAL_DRAWS = 5
"""How often other utterances are enrolled."""
BOOTSTRAP_DRAWS = 100
MIN_SPEAKERS = 10
"""Intervals that are drawn from fewer are too narrow to be believed: nothing is refused by them."""


class Embedded(NamedTuple):
    """Embeddings (N, D) of the same utterances by both networks, and the layers' fidelity.

    ``sqnr_db`` names the signal-to-quantization-noise ratio of every layer's output.
    """

    original: Float32
    quantized: Float32
    sqnr_db: dict[str, float]


class PairedTrials(NamedTuple):
    """The same trials, scored with the embeddings of either network."""

    original: Trials
    quantized: Trials


class ErrorRates(msgspec.Struct, frozen=True, kw_only=True):
    """What quantization did to decisions. Rates lie in [0, 1].

    ``flips`` is the share of trials that are decided differently at ``threshold``, the equal
    error threshold of the float network; ``threshold_shift`` is how far that of the quantized
    network lies above. ``eer_untrained`` is that of a float network of the same shape with random
    weights, and ``training_gain_interval`` by how much it is higher, where that was measured.
    Intervals are of 95%, by drawing speakers.
    """

    speakers: int
    target_trials: int
    nontarget_trials: int
    eer_float: float
    eer_float_interval: tuple[float, float]
    eer_quantized: float
    eer_quantized_interval: tuple[float, float]
    eer_delta: float
    eer_delta_interval: tuple[float, float]
    threshold: float
    threshold_shift: float
    flips: float
    eer_untrained: float | None = None
    training_gain_interval: tuple[float, float] | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The whole result; ``error_rates`` is None for speech without speakers' names."""

    utterances: int
    cosine_min: float
    cosine_p1: float
    cosine_median: float
    sqnr_db: dict[str, float]
    float_bytes: int
    quantized_bytes: int
    error_rates: ErrorRates | None

    def to_json(self) -> bytes:
        """The result for a file or another program."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


OTHER_FEATURES = (
    "Most likely it hears other features than it was trained on: say which by --front-end, and "
    "prove it by --check-audio."
)
LEARNED_LITTLE = "It hears what it was trained on, as --check-audio proved: train it longer."
LOSS_HINT = (
    "Give more or more varied representative speech, with --scheme int8 another --range, or raise "
    "the limit if the loss is acceptable; `compare` shows where it arises."
)


class Limits(NamedTuple):
    """The loss that is accepted: cosine of the worst percentile, and EER change in [0, 1].

    The whole interval of the EER's change must lie below its limit. Of too few trials it is not
    weighed at all, and the cosine decides: chance shall neither accept nor refuse.
    """

    min_cosine: float = 0.99
    max_eer_delta: float = 0.005
    allow_useless: bool = False
    """Whether the float network may be no better than one that learned nothing."""

    def check(self, result: Comparison, *, features_proven: bool = False) -> None:
        """Raise ``QualityError`` for a loss above the limits, or one that is not a number.

        ``features_proven`` says that the network hears what it was trained on.
        """
        rates = result.error_rates if self.weighs(result.error_rates) else None
        if rates is not None and not self.allow_useless:
            _check_learned(rates, features_proven)
        self._check_cosine(result)
        if rates is not None:
            self._check_error_rates(rates)

    def weighs(self, rates: ErrorRates | None) -> bool:
        """Whether there are speakers enough, and so many trials that one alone decides nothing."""
        if rates is None:
            return False
        return rates.speakers >= MIN_SPEAKERS and rates.target_trials * self.max_eer_delta >= 1

    def _check_cosine(self, result: Comparison) -> None:
        if not result.cosine_p1 >= self.min_cosine:
            raise QualityError(
                f"one embedding in a hundred has a cosine below {result.cosine_p1:.4f} to its "
                f"float form; {self.min_cosine:.4f} is the least accepted (--min-cosine)",
                LOSS_HINT,
            )

    def _check_error_rates(self, rates: ErrorRates) -> None:
        low, high = rates.eer_delta_interval
        if high <= self.max_eer_delta:
            return
        is_open = low <= self.max_eer_delta
        raise QualityError(
            f"quantization raises the EER by {100 * low:.2f} to {100 * high:.2f} percentage points "
            f"(95% interval); {100 * self.max_eer_delta:.2f} is the most accepted "
            "(--max-eer-delta)",
            f"{rates.target_trials} target trials of {rates.speakers} speakers leave it open: give "
            "more test speech, or raise the limit."
            if is_open
            else LOSS_HINT,
        )


def embed(
    original: Network,
    model: bytes,
    utterances: Sequence[Float32],
    pooling: Pooling,
    progress: Progress = lambda _: None,
) -> Embedded:
    """Embed utterances, each network input (T, F), with both networks.

    Raises ``SpeechError`` when an utterance has no step, and ``QualityError`` when a network gives
    one no embedding.
    """
    if not utterances or not all(map(len, utterances)):
        raise SpeechError("an utterance is too short for one step", "Remove the shortest ones.")
    floats, integers = [], []
    signal: dict[str, list[float]] = {}
    pairs = zip(
        network.run(original, utterances),
        quantized.run(model, utterances, original.embedding_size),
        strict=True,
    )
    for number, (exact, rounded) in enumerate(pairs):
        floats.append(network.pool(exact.embedding, exact.logit, pooling))
        integers.append(network.pool(rounded.embedding, rounded.logit, pooling))
        if number < SQNR_UTTERANCES:
            for name, reference, found in _layer_outputs(exact, rounded):
                powers = signal.setdefault(name, [0.0, 0.0])
                powers[0] += float(np.square(reference, dtype=np.float64).sum())
                powers[1] += float(np.square(reference - found, dtype=np.float64).sum())
        progress(1)
    sqnr_db = {
        name: float(10 * np.log10(power / max(noise, 1e-30))) if power else 0.0
        for name, (power, noise) in signal.items()
    }
    embedded = Embedded(np.stack(floats), np.stack(integers), sqnr_db)
    _check_directions("float", embedded.original)
    _check_directions("quantized", embedded.quantized)
    return embedded


def _check_directions(which: str, embeddings: Float32) -> None:
    none = int((~np.isfinite(embeddings).all(axis=1)).sum())
    if none:
        raise QualityError(
            f"the {which} network gives {none} of {len(embeddings)} utterances no embedding: all "
            "of its numbers are zero there, or beyond all bounds",
            "Give a trained checkpoint, and speech, not silence.",
        )


def embed_float(
    original: Network,
    utterances: Sequence[Float32],
    pooling: Pooling,
    progress: Progress = lambda _: None,
) -> Float32:
    """Embed utterances, each network input (T, F), with the float network alone: (N, D)."""
    embeddings = []
    for outputs in network.run(original, utterances):
        embeddings.append(network.pool(outputs.embedding, outputs.logit, pooling))
        progress(1)
    return np.stack(embeddings)


def compare(
    embedded: Embedded,
    speakers: Sequence[str | None],
    float_bytes: int,
    quantized_bytes: int,
    untrained: Float32 | None = None,
) -> tuple[Comparison, PairedTrials | None]:
    """Judge embeddings of utterances that ``speakers`` (N,) spoke; also gives the scored trials.

    ``untrained`` (N, D) are those of a network that learned nothing.
    """
    cosine = np.sum(embedded.original * embedded.quantized, axis=1)
    trials = _trials(embedded, speakers)
    rates = trials and _error_rates(trials)
    if trials and rates and untrained is not None:
        rates = _with_untrained(rates, trials, embedded._replace(quantized=untrained), speakers)
    result = Comparison(
        utterances=len(cosine),
        cosine_min=float(cosine.min()),
        cosine_p1=float(np.percentile(cosine, 1)),
        cosine_median=float(np.median(cosine)),
        sqnr_db=embedded.sqnr_db,
        float_bytes=float_bytes,
        quantized_bytes=quantized_bytes,
        error_rates=rates,
    )
    return result, trials


def _layer_outputs(
    exact: network.Outputs, rounded: network.Outputs
) -> list[tuple[str, Float32, Float32]]:
    layers = [
        (f"lstm {number + 1}", *pair)
        for number, pair in enumerate(zip(exact.hidden, rounded.hidden, strict=True))
    ]
    layers.append(("embedding", exact.embedding, rounded.embedding))
    if exact.logit is not None and rounded.logit is not None:
        layers.append(("attention", exact.logit, rounded.logit))
    return layers


def _trials(embedded: Embedded, speakers: Sequence[str | None]) -> PairedTrials | None:
    """The same trials for both; None where no speaker is named or has utterances enough."""
    named = np.array([index for index, speaker in enumerate(speakers) if speaker is not None], int)
    names = np.array([speakers[index] for index in named], np.str_)
    try:
        original, quantized = (
            score_trials(embeddings[named], names, enroll=ENROLLED_UTTERANCES, draws=TRIAL_DRAWS)
            for embeddings in (embedded.original, embedded.quantized)
        )
    except ValueError:
        return None
    return PairedTrials(original, quantized)


def _check_learned(rates: ErrorRates, features_proven: bool) -> None:
    """Raise ``QualityError`` where nothing shows that the float network learned to tell voices."""
    if rates.training_gain_interval is None or rates.training_gain_interval[0] > 0:
        return
    raise QualityError(
        f"the float network is of no use on this speech: its EER is {100 * rates.eer_float:.1f}%, "
        f"that of an untrained network of its shape {100 * (rates.eer_untrained or 0):.1f}%",
        f"{LEARNED_LITTLE if features_proven else OTHER_FEATURES} --allow-useless writes the "
        "package all the same.",
    )


def _with_untrained(
    rates: ErrorRates, trials: PairedTrials, pair: Embedded, speakers: Sequence[str | None]
) -> ErrorRates:
    learned_nothing = _trials(pair, speakers)
    if learned_nothing is None:
        return rates
    untrained = learned_nothing.quantized
    return msgspec.structs.replace(
        rates,
        eer_untrained=metrics.eer(*untrained.split()),
        training_gain_interval=_change(trials.original, untrained),
    )


def _change(before: Trials, after: Trials) -> tuple[float, float]:
    """The interval of the EER's change between scores of the same trials: a paired bootstrap."""

    def delta(target: metrics.Floats, nontarget: metrics.Floats) -> float:
        rows, others = target.astype(int), nontarget.astype(int)  # drawn are numbers of trials
        return metrics.eer(after.scores[rows], after.scores[others]) - metrics.eer(
            before.scores[rows], before.scores[others]
        )

    numbers = Trials(np.arange(len(before.scores), dtype=np.float64), *before[1:])
    return metrics.bootstrap_interval(delta, numbers, draws=BOOTSTRAP_DRAWS)


def _error_rates(trials: PairedTrials) -> ErrorRates:
    before, after = trials
    eer_before, eer_after = metrics.eer(*before.split()), metrics.eer(*after.split())
    threshold = metrics.frr_at_far(*before.split(), eer_before).threshold
    target, nontarget = before.split()
    return ErrorRates(
        speakers=len(np.unique(np.concatenate((before.enrolled, before.tested)))),
        target_trials=len(target),
        nontarget_trials=len(nontarget),
        eer_float=eer_before,
        eer_float_interval=metrics.bootstrap_interval(metrics.eer, before, draws=BOOTSTRAP_DRAWS),
        eer_quantized=eer_after,
        eer_quantized_interval=metrics.bootstrap_interval(
            metrics.eer, after, draws=BOOTSTRAP_DRAWS
        ),
        eer_delta=eer_after - eer_before,
        eer_delta_interval=_change(before, after),
        threshold=threshold,
        threshold_shift=metrics.frr_at_far(*after.split(), eer_after).threshold - threshold,
        flips=float(np.mean((before.scores >= threshold) != (after.scores >= threshold))),
    )
