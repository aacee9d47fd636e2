"""What the student is punished for."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from edge_unlock_convert.training.recipe import Objective
from edge_unlock_convert.training.sampler import Batch, Sampler


class Objectives:
    """Distance to the teacher, and confusion with other voices."""

    def __init__(self, settings: Objective, sampler: Sampler) -> None:
        self._settings = settings
        self._prototypes = sampler.prototypes

    def __call__(self, embeddings: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Embeddings (B, D) of norm 1 to the two losses, each a mean over the batch.

        The first is 1 - cosine to the target; the second the cross-entropy of the voice
        among others, whose class vectors are not learned but are the teacher's.
        """
        settings = self._settings
        own = self._prototypes[batch.voices]
        blend = settings.speaker_blend
        target = normalize((1 - blend) * batch.targets + blend * own, dim=1)
        distill = 1 - (embeddings * target).sum(1).mean()
        rows = torch.arange(len(embeddings), device=embeddings.device)
        others, mine = self._prototypes, batch.voices
        if settings.negatives:
            drawn = torch.randint(len(self._prototypes), (settings.negatives,))
            others, mine = torch.cat((own, self._prototypes[drawn])), rows
        maybe_same = own @ others.T > settings.same_voice
        maybe_same[rows, mine] = False
        cosines = embeddings @ others.T
        margin = torch.zeros_like(cosines)
        margin[rows, mine] = settings.margin
        logits = (cosines - margin) / settings.temperature
        contrast = cross_entropy(logits.masked_fill(maybe_same, -torch.inf), mine)
        return distill, contrast


def hint(states: list[Tensor], hints: list[Tensor], steps: Tensor) -> Tensor:
    """Mean square between hidden states (B, T, H) of layers, over that of the ``hints``.

    The first ``steps`` (B,) of each row count.
    """
    counted = torch.arange(hints[0].shape[1], device=steps.device) < steps[:, None]
    total = torch.zeros((), device=steps.device)
    for own, theirs in zip(states, hints, strict=True):
        apart = (own - theirs).square().mean(-1)[counted].mean()
        total = total + apart / theirs.square().mean(-1)[counted].mean()
    return total / len(hints)
