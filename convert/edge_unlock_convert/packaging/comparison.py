"""The comparison of an encoder's two forms, float and TFLite, on recordings."""

from typing import NamedTuple

from edge_unlock.encoder.features import Float32
from edge_unlock_convert.front_end import FrontEnd
from edge_unlock_convert.network import Network
from edge_unlock_convert.packaging.untrained import untrained
from edge_unlock_convert.progress import Stage
from edge_unlock_convert.quantization import compare
from edge_unlock_convert.speech import Speech

TARGET_UTTERANCES = 5
"""Of one speaker are compared before those of further ones: three are enrolled."""


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
    samples, speakers = read_speech(speech, rate_hz, "test", stage)
    steps = [front_end.steps(one) for one in samples]
    kept = [index for index, one in enumerate(steps) if len(one)]
    heard = [steps[index] for index in kept]
    named = [speakers[index] for index in kept]
    pooling = front_end.encoder.pooling
    with stage("comparing float and quantized", len(heard)) as progress:
        embedded = compare.embed(network, model, heard, pooling, progress)
    nothing_learned = None
    if len(set(named) - {None}) >= compare.MIN_SPEAKERS:
        with stage("comparing with an untrained network", len(heard)) as progress:
            nothing_learned = compare.embed_float(untrained(network), heard, pooling, progress)
    return compare.compare(embedded, named, 4 * network.parameters, len(model), nothing_learned)


def read_speech(
    speech: Speech, rate_hz: int, purpose: str, stage: Stage
) -> tuple[list[Float32], list[str | None]]:
    """The samples, each (n,), and the speaker of every recording; ``purpose`` names the stage."""
    samples, speakers = [], []
    with stage(f"reading {purpose} speech", len(speech)) as progress:
        for recording in speech.recordings(rate_hz):
            samples.append(recording.samples)
            speakers.append(recording.speaker)
            progress(1)
    return samples, speakers
