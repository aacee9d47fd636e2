"""Offline voice unlock: ``Encoder`` turns speech into speaker embeddings."""

from typing import TYPE_CHECKING

from edge_unlock.lazy import lazy_names

if TYPE_CHECKING:
    from edge_unlock.encoder.encoder import Encoder

__all__ = ["Encoder"]
__getattr__ = lazy_names(__name__, {"Encoder": "encoder.encoder"})
