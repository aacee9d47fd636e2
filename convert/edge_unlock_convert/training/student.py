"""The network that is trained: stacked LSTM layers, and what makes one embedding of their steps."""

import torch
from torch import Tensor, nn

from edge_unlock.encoder.encoder import ATTENTION_LOGIT_LIMIT
from edge_unlock_convert.training.recipe import Network


class Student(nn.Module):
    """Steps of features to one unit embedding.

    The names of its parameters are what the converter reads: ``lstm.*`` (gates in PyTorch's
    order: input, forget, cell, output), ``embedding.*`` and, for attention pooling,
    ``attention.*``. ``low_precision`` says whether the products of the LSTM are computed in
    bfloat16.
    """

    def __init__(self, inputs: int, settings: Network, embedding_size: int) -> None:
        super().__init__()
        self.low_precision = False
        self.pooling = settings.pooling
        hidden = settings.hidden
        self.lstm = nn.LSTM(
            inputs,
            hidden,
            settings.layers,
            batch_first=True,
            dropout=settings.dropout if settings.layers > 1 else 0.0,
            proj_size=settings.projection,
        )
        outputs = settings.projection or hidden
        self.embedding = nn.Linear(outputs, embedding_size)
        if self.pooling == "attention":
            self.attention = nn.Linear(outputs, 1)
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("bias_ih"):  # forget little at first (Jozefowicz et al., 2015)
                nn.init.constant_(parameter[hidden : 2 * hidden], 1.0)

    def forward(self, features: Tensor, steps: Tensor) -> Tensor:
        """Features (B, T, inputs), of which ``steps`` (B,) count, to embeddings (B, D), norm 1."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.low_precision):
            hidden, _ = self.lstm(features)
        hidden = hidden.float()
        weight = self._weight(hidden, steps)
        # the mean of linear outputs is the linear output of the mean: cheaper, and the same
        pooled = torch.einsum("bt,bth->bh", weight / weight.sum(1, keepdim=True), hidden)
        return nn.functional.normalize(self.embedding(pooled), dim=1)

    def _weight(self, hidden: Tensor, steps: Tensor) -> Tensor:
        """What each step (B, T) counts."""
        numbers = torch.arange(hidden.shape[1])
        if self.pooling == "last":
            return (numbers == (steps - 1)[:, None]).float()
        counted = numbers < steps[:, None]
        if self.pooling == "mean":
            return counted.float()
        logits = self.attention(hidden).squeeze(-1)
        weight: Tensor = logits.clamp(-ATTENTION_LOGIT_LIMIT, ATTENTION_LOGIT_LIMIT).exp() * counted
        return weight
