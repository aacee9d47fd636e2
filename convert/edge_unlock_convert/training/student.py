"""The network that is trained: stacked LSTM layers and an attention-weighted mean."""

import torch
from torch import Tensor, nn

from edge_unlock.encoder import ATTENTION_LOGIT_LIMIT


class Student(nn.Module):
    """Steps of features to one unit embedding.

    The names of its parameters are what the converter reads: ``lstm.*`` (gates in PyTorch's
    order: input, forget, cell, output), ``embedding.*`` and ``attention.*``. ``precision`` is
    that of the products of the LSTM.
    """

    def __init__(
        self, inputs: int, hidden: int, layers: int, embedding_size: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.precision = "float32"
        self.lstm = nn.LSTM(
            inputs, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0
        )
        self.embedding = nn.Linear(hidden, embedding_size)
        self.attention = nn.Linear(hidden, 1)
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("bias_ih"):  # forget little at first (Jozefowicz et al., 2015)
                nn.init.constant_(parameter[hidden : 2 * hidden], 1.0)

    def forward(self, features: Tensor, steps: Tensor) -> Tensor:
        """Features (B, T, inputs), of which ``steps`` (B,) count, to embeddings (B, D), norm 1."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bfloat16"):
            hidden, _ = self.lstm(features)
        hidden = hidden.float()
        logits = self.attention(hidden).squeeze(-1)
        weight = logits.clamp(-ATTENTION_LOGIT_LIMIT, ATTENTION_LOGIT_LIMIT).exp()
        weight = weight * (torch.arange(features.shape[1]) < steps[:, None])
        # the mean of linear outputs is the linear output of the mean: cheaper, and the same
        pooled = torch.einsum("bt,bth->bh", weight / weight.sum(1, keepdim=True), hidden)
        return nn.functional.normalize(self.embedding(pooled), dim=1)
