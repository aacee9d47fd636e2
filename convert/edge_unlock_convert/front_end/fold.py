"""A network on its own features, made one on the device's: the difference goes into its weights.

The device gives normalized cepstra y; the network was trained on frames x. Where ``x = A y + k``
holds, the first layer's ``W x + b`` is ``(W A) y + (b + W k)``, which is exact. Where it does
not, A and k are those that come nearest on speech, and what is lost is measured.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from edge_unlock.encoder.features import Float32, MfccStream, Normalization, NormalizationStream
from edge_unlock.encoder.package import EncoderSpec
from edge_unlock_convert.errors import CheckpointError
from edge_unlock_convert.front_end import reference
from edge_unlock_convert.front_end.agreement import Agreement, Own, agree
from edge_unlock_convert.front_end.description import Description
from edge_unlock_convert.front_end.device import FrontEnd, measure_normalization
from edge_unlock_convert.front_end.reference import Floats
from edge_unlock_convert.network import LstmLayer, Network

FIXED = 1e6
"""Weight of the training mean, and reach, at which the running mean and the clipping do nothing."""
HELD_OUT = 4
"""Of so many utterances one is not fitted on but measured on, drawn: speakers come in turn."""
MEASURED_UTTERANCES = 40


class Folded(NamedTuple):
    """The network for the device's features, the front end that gives them, and the proof."""

    network: Network
    front_end: FrontEnd
    agreement: Agreement


def fold(
    network: Network,
    description: Description,
    encoder: EncoderSpec,
    samples: Sequence[Float32],
    prior_frames: float,
) -> Folded:
    """Fold a description into the weights, by way of speech: samples (n,) in [-1, 1] each.

    Raises ``CheckpointError`` where the description does not fit the network, ``SpeechError``
    where the speech is too short.
    """
    if description.size * encoder.frames_stacked != network.input_size:
        raise CheckpointError(
            f"the front end gives {description.size} numbers a frame and {encoder.frames_stacked} "
            f"frames a step, the network takes {network.input_size} a step",
            "Correct `coefficients`, `filters` or `frames_stacked` of the front end.",
        )
    drawn = np.random.default_rng(0).permutation(len(samples))
    split = min(MEASURED_UTTERANCES, -(-len(samples) // HELD_OUT))
    held_out, fitted = ([samples[index] for index in part] for part in np.split(drawn, [split]))
    fitted = fitted or held_out
    spec = description.nearest
    normalization = measure_normalization(spec, fitted, prior_frames)
    if description.is_fixed:
        normalization = replace(normalization, prior_frames=FIXED)
    if description.is_exact:
        normalization = replace(normalization, limit=FIXED)
    front_end = FrontEnd(features=spec, normalization=normalization, encoder=encoder)
    affine = _formula if description.is_exact else _least_squares
    matrix, offset = affine(description, normalization, fitted)
    first = _into(network.layers[0], matrix, offset, encoder.frames_stacked)
    folded = dataclasses.replace(network, layers=(first, *network.layers[1:]))
    agreement = agree(Own(network, description), folded, front_end, held_out)
    notes = (*network.notes, agreement.note)
    return Folded(dataclasses.replace(folded, notes=notes), front_end, agreement)


def _formula(
    description: Description, normalization: Normalization, _: Sequence[Float32]
) -> tuple[Floats, Floats]:
    """A (size, cepstra) and k (size,), of logarithms, a DCT, a lifter and fixed statistics."""
    plain = replace(description, kind="mfcc", coefficients=description.size, lifter=0)
    power = description.sample_scale**2
    if description.spectrum == "power":
        power *= description.fft_size
    scale = reference.log_scale(description)
    matrix = reference.cepstral_matrix(plain) * scale
    offset = np.full(description.filters, np.log(power) * scale)
    if description.kind == "mfcc":
        cepstral = reference.cepstral_matrix(description)
        matrix, offset = cepstral.T @ matrix, offset @ cepstral
    offset = offset + matrix @ np.asarray(normalization.mean)
    matrix = matrix * np.asarray(normalization.deviation)
    if description.mean is not None and description.deviation is not None:
        deviation = np.asarray(description.deviation)
        return matrix / deviation[:, None], (offset - np.asarray(description.mean)) / deviation
    return matrix, offset


def _least_squares(
    description: Description, normalization: Normalization, utterances: Sequence[Float32]
) -> tuple[Floats, Floats]:
    """The A and k that come nearest on speech."""
    # one grid of frames for both: where it begins is of no matter to a voice
    aligned = replace(description, padding="none")
    device, own = [], []
    for samples in utterances:
        cepstra = MfccStream(description.nearest).push(samples)
        device.append(NormalizationStream(normalization).push(cepstra))
        own.append(reference.normalize(aligned, reference.frames(aligned, samples)))
    inputs = np.concatenate(device).astype(np.float64)
    frames = np.concatenate(own)
    center, offset = inputs.mean(axis=0), frames.mean(axis=0)
    solution = np.linalg.lstsq(inputs - center, frames - offset, rcond=1e-6)[0]
    return solution.T, offset - center @ solution


def _into(layer: LstmLayer, matrix: Floats, offset: Floats, stacked: int) -> LstmLayer:
    weights = layer.input_weights.astype(np.float64).reshape(len(layer.bias), stacked, -1)
    return LstmLayer(
        (weights @ matrix).reshape(len(layer.bias), -1).astype(np.float32),
        layer.recurrent_weights,
        (layer.bias + weights.sum(axis=1) @ offset).astype(np.float32),
    )
