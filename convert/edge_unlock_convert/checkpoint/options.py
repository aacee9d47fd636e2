"""What a person can say of a checkpoint that it does not say of itself."""

from dataclasses import dataclass, field

from edge_unlock_convert.network import Activation, Pooling


@dataclass(frozen=True)
class Options:
    """Answers to what tensors alone leave open.

    ``lstm`` names the LSTM layers in their order, ``embedding`` the layers from the last hidden
    state to the embedding, of which the last ends the network; ``attention`` the one that weighs
    the steps. ``activation`` is what follows each of ``embedding``. A state dict needs them all,
    the other formats say them themselves. ``drop`` names tensors that are knowingly left behind.
    ``pooling`` is what the front end says, if it does.
    """

    lstm: list[str] = field(default_factory=list)
    embedding: list[str] = field(default_factory=list)
    attention: str | None = None
    activation: list[Activation] = field(default_factory=list)
    drop: list[str] = field(default_factory=list)
    pooling: Pooling | None = None
