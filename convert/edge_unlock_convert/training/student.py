"""The network that is trained: stacked LSTM layers, and what makes one embedding of their steps."""

import torch
from torch import Tensor, nn

from edge_unlock.encoder.encoder import ATTENTION_LOGIT_LIMIT
from edge_unlock.errors import ConfigError
from edge_unlock_convert.training.recipe import Network
from edge_unlock_convert.training.resemblyzer import Resemblyzer, run_layer

Weights = dict[str, Tensor]
"""The parameters of a student by name."""


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

    def take_over(self, source: Resemblyzer) -> None:
        """Take the LSTM's weights of another network; not those of the first layer's inputs.

        Raises ``ConfigError`` where it has other layers.
        """
        own, theirs = self.lstm.state_dict(), source.lstm.state_dict()
        theirs["weight_ih_l0"] = own["weight_ih_l0"]
        if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in theirs.items()}:
            raise ConfigError(
                "the network to start from has other layers",
                f"Set layers = {source.lstm.num_layers} and hidden = {source.lstm.hidden_size}.",
            )
        self.lstm.load_state_dict(theirs)

    def forward(self, features: Tensor, steps: Tensor) -> Tensor:
        """Features (B, T, inputs), of which ``steps`` (B,) count, to embeddings (B, D), norm 1."""
        return self.pooled(self.states(features)[-1], steps)

    def states(self, features: Tensor, every_layer: bool = False) -> list[Tensor]:
        """Hidden states (B, T, hidden) of the last layer, or of each: that way is slower."""
        with torch.autocast(features.device.type, torch.bfloat16, enabled=self.low_precision):
            if not every_layer:
                return [self.lstm(features)[0].float()]
            found = [features]
            for layer in range(self.lstm.num_layers):
                found.append(run_layer(self.lstm, layer, found[-1]))
        return [hidden.float() for hidden in found[1:]]

    def pooled(self, hidden: Tensor, steps: Tensor) -> Tensor:
        """Hidden states (B, T, hidden) of the last layer to embeddings (B, D) of norm 1."""
        weight = self._weight(hidden, steps)
        # the mean of linear outputs is the linear output of the mean: cheaper, and the same
        pooled = torch.einsum("bt,bth->bh", weight / weight.sum(1, keepdim=True), hidden)
        return nn.functional.normalize(self.embedding(pooled), dim=1)

    def _weight(self, hidden: Tensor, steps: Tensor) -> Tensor:
        """What each step (B, T) counts."""
        numbers = torch.arange(hidden.shape[1], device=hidden.device)
        if self.pooling == "last":
            return (numbers == (steps - 1)[:, None]).float()
        counted = numbers < steps[:, None]
        if self.pooling == "mean":
            return counted.float()
        logits = self.attention(hidden).squeeze(-1)
        weight: Tensor = logits.clamp(-ATTENTION_LOGIT_LIMIT, ATTENTION_LOGIT_LIMIT).exp() * counted
        return weight
