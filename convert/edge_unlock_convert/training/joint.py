"""Several teachers as one: what each hears is joined in one space."""

from collections.abc import Sequence

import numpy as np

from edge_unlock.encoder.similarity import unit
from edge_unlock.errors import ConfigError
from edge_unlock_convert.training.voices import Float32s, VoiceSet


def join(voices: Sequence[VoiceSet], weights: Sequence[float], size: int) -> list[VoiceSet]:
    """Voices whose embeddings (n, D) are those of all their teachers.

    Each teacher's are centred by the mean over all voices, of norm 1, and weighed; side by side
    they are turned to their principal directions, of which the widest ``size`` stay (0: all). One
    teacher whose directions all stay is left as it is. Raises ``ConfigError`` where the voices
    were made with fewer teachers, or have fewer directions.
    """
    if len(weights) == 1 and size in (0, voices[0].embeddings.shape[1]):
        return list(voices)
    each = [(one.embeddings, *one.further) for one in voices]
    if len(each[0]) < len(weights):
        raise ConfigError(
            f"the voices were made with {len(each[0])} teachers, the recipe weighs {len(weights)}",
            "Make them again with one --teacher for each.",
        )
    every = np.concatenate(
        [
            weight * _centred([heard[number] for heard in each])
            for number, weight in enumerate(weights)
        ],
        axis=1,
    )
    if size > every.shape[1]:
        raise ConfigError(
            f"the teachers give {every.shape[1]} dimensions, the recipe asks for {size}",
            "Set network.embedding to as many or fewer.",
        )
    _, directions = np.linalg.eigh(every.T @ every)
    widest = directions[:, ::-1][:, : size or every.shape[1]]
    joined = np.split(unit(every @ widest), np.cumsum([len(one) for one in voices])[:-1])
    return [
        VoiceSet(one.audio, one.offsets, one.speakers, own, one.transforms)
        for one, own in zip(voices, joined, strict=True)
    ]


def _centred(embeddings: Sequence[Float32s]) -> Float32s:
    """All of them (n, D), less their mean, of norm 1."""
    every = np.concatenate(embeddings)
    return unit(every - every.mean(axis=0))
